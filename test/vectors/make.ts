import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';
import { buildEncrypt } from '@aws-crypto/encrypt-node';
import { CommitmentPolicy } from '@aws-crypto/material-management-node';
import { PART_EXTENSIONS, type PartFormat } from '../../core/backup/part.ts';
import type { Compression } from '../../core/config/schema.ts';
import { backupPrefix, MANIFEST_NAME, objectName } from '../../core/repository/layout.ts';
import type { Manifest, ManifestPart } from '../../core/repository/manifest.ts';
import { signManifest } from '../../core/repository/signedManifest.ts';
import { encryptionContext } from '../../core/seal/context.ts';
import { ALGORITHM_SUITE } from '../../core/seal/encrypt.ts';
import { sealingKeyring } from '../../core/seal/keyrings.ts';
import { loadAesKey, loadRsaPublicKey, loadSigningKey, type SealingKey } from '../../core/seal/keys.ts';
import { seal } from '../../core/seal/seal.ts';
import { chunked, gather, seededRandom } from '../core/seal/sealing.ts';

/**
 * Makes the vectors of one format version: `node test/vectors/make.ts DIRECTORY`. Run once for a version; what is
 * committed then never changes, because every later release has to open it.
 */

const LOCATION = { source: 'shop', tier: 'daily', backup: '20261120T020000Z-7f3k9q' } as const;
const STARTED = '2026-11-20T02:00:00.000Z';
const ENDED = '2026-11-20T02:00:09.000Z';

interface PartPlan {
  readonly part: string;
  readonly format: PartFormat;
  readonly compression: Compression;
  readonly original: Buffer;
  /** Bytes of every object but the last. */
  readonly objectBytes: number;
  /** Many small frames of both kinds, as another writer might make them. */
  readonly smallFrames?: boolean;
}

const directory = process.argv[2];
if (directory === undefined) throw new Error('usage: node test/vectors/make.ts DIRECTORY');
await makeVectors(directory);

async function makeVectors(root: string): Promise<void> {
  const keys = await makeKeys(join(root, 'keys'));
  const copy = join(root, backupPrefix(LOCATION));
  const expected = join(root, 'expected');
  await mkdir(copy, { recursive: true });
  await mkdir(expected, { recursive: true });
  const parts: ManifestPart[] = [];
  for (const plan of partPlans()) {
    parts.push(await makePart(plan, keys.recipients, copy));
    await writeFile(join(expected, `${plan.part}.${PART_EXTENSIONS[plan.format]}`), plan.original);
  }
  await writeFile(join(copy, MANIFEST_NAME), signManifest(manifestOf(parts), keys.signing));
}

/** Keys that everybody knows: nothing but these vectors may ever be sealed or signed with them. */
async function makeKeys(to: string) {
  await mkdir(to, { recursive: true });
  const aes = createHash('sha256').update('holdfast test vector key').digest('base64');
  const rsa = generateKeyPairSync('rsa', { modulusLength: 3072 });
  const ed25519 = generateKeyPairSync('ed25519');
  const privatePem = (key: typeof rsa.privateKey) => key.export({ type: 'pkcs8', format: 'pem' }).toString();
  const publicPem = (key: typeof rsa.publicKey) => key.export({ type: 'spki', format: 'pem' }).toString();
  await writeFile(join(to, 'ops.key'), `${aes}\n`);
  await writeFile(join(to, 'escrow.pem'), privatePem(rsa.privateKey));
  await writeFile(join(to, 'escrow.pub.pem'), publicPem(rsa.publicKey));
  await writeFile(join(to, 'sign.pem'), privatePem(ed25519.privateKey));
  await writeFile(join(to, 'sign.pub.pem'), publicPem(ed25519.publicKey));
  return {
    recipients: [loadAesKey(aes, 'ops'), loadRsaPublicKey(publicPem(rsa.publicKey), 'escrow')],
    signing: loadSigningKey(privatePem(ed25519.privateKey), 'sign'),
  };
}

function partPlans(): PartPlan[] {
  const random = seededRandom(1);
  const rows = Array.from({ length: 120 }, (_, row) => `${row}\t${random().toString(36)}\tcustomer ${row % 7}\n`).join(
    '',
  );
  const noise = Buffer.from(Array.from({ length: 2000 }, () => Math.floor(random() * 256)));
  const json = Buffer.from(JSON.stringify({ tables: rows.split('\n') }));
  const zstd = { type: 'zstd', level: 1 } as const;
  return [
    {
      part: 'database',
      format: 'pg_dump-custom',
      compression: zstd,
      original: Buffer.concat([Buffer.from(rows), noise]),
      objectBytes: 2000,
    },
    {
      part: 'media',
      format: 'tar',
      compression: { type: 'gzip', level: 6 },
      original: Buffer.concat([noise, Buffer.alloc(1024)]),
      objectBytes: 100_000,
    },
    { part: 'globals', format: 'sql', compression: zstd, original: Buffer.alloc(0), objectBytes: 100_000 },
    { part: 'inventory', format: 'json', compression: zstd, original: json, objectBytes: 1000, smallFrames: true },
  ];
}

async function makePart(plan: PartPlan, recipients: readonly SealingKey[], copy: string): Promise<ManifestPart> {
  const sealed = plan.smallFrames ? await sealSmall(plan, recipients) : await sealAsEver(plan, recipients);
  const objects: ManifestPart['objects'] = [];
  for await (const bytes of chunked(sealed.ciphertext, plan.objectBytes)) {
    const name = objectName(plan.part, PART_EXTENSIONS[plan.format], plan.compression.type, objects.length);
    await writeFile(join(copy, name), bytes);
    objects.push({ name, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
  }
  return {
    part: plan.part,
    format: plan.format,
    compression: plan.compression,
    originalBytes: plan.original.length,
    compressedBytes: sealed.compressedBytes,
    storedBytes: sealed.ciphertext.length,
    ratio: (plan.original.length / sealed.ciphertext.length).toFixed(2),
    sha256: createHash('sha256').update(sealed.ciphertext).digest('hex'),
    keyIds: recipients.map((key) => key.id),
    objects,
    startedAt: STARTED,
    endedAt: ENDED,
  };
}

async function sealAsEver({ original, compression, part }: PartPlan, recipients: readonly SealingKey[]) {
  const sealed = seal(chunked(original), { compression, recipients, context: { ...LOCATION, part } });
  const ciphertext = await gather(sealed.ciphertext);
  return { ciphertext, compressedBytes: sealed.totals().compressedBytes };
}

async function sealSmall({ original, part }: PartPlan, recipients: readonly SealingKey[]) {
  const frames: Buffer[] = [];
  for await (const bytes of chunked(original, 1000)) {
    frames.push(await promisify(zstdCompress)(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }));
  }
  const compressed = Buffer.concat(frames);
  const { encrypt } = buildEncrypt(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
  const { result } = await encrypt(await sealingKeyring(recipients), compressed, {
    suiteId: ALGORITHM_SUITE,
    frameLength: 256,
    encryptionContext: encryptionContext({ ...LOCATION, part }),
  });
  return { ciphertext: result, compressedBytes: compressed.length };
}

function manifestOf(parts: ManifestPart[]): Manifest {
  return {
    format: 'holdfast-backup',
    version: 1,
    id: LOCATION.backup,
    source: LOCATION.source,
    kind: 'full',
    tier: LOCATION.tier,
    plan: 'shop-daily',
    startedAt: STARTED,
    sealedAt: ENDED,
    holdfastVersion: '0.1.0',
    environment: ['SECRET_KEY'],
    warnings: ['media: “Ünïcødé 🦭.jpg” changed while it was read'],
    parts,
  };
}
