import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readProcess, startProcess } from '../../../core/process/childProcess.ts';
import { PART_EXTENSIONS, type PartFormat } from '../../../core/backup/part.ts';
import { listArchive } from '../../../core/files/listArchive.ts';
import { objectKey, objectName, manifestKey } from '../../../core/repository/layout.ts';
import { locationOf } from '../../../core/repository/location.ts';
import type { Manifest, ManifestPart } from '../../../core/repository/manifest.ts';
import { signManifest } from '../../../core/repository/signedManifest.ts';
import { checkingHalf, loadAesKey, loadSigningKey, type SealingKey, type SigningKey } from '../../../core/seal/keys.ts';
import { seal } from '../../../core/seal/seal.ts';
import type { Backend } from '../../../core/storage/backend.ts';
import { Readable } from 'node:stream';
import { chunked, gather, newAesKey } from '../seal/sealing.ts';
import { testPostgres, type TestDatabase } from '../../support/servers.ts';
import { sampleManifest } from './sampleBackup.ts';

export interface PlainPart {
  readonly part: string;
  readonly format: PartFormat;
  readonly bytes: Buffer;
  readonly tree?: NonNullable<ManifestPart['tree']>;
}

export interface BackupKeys {
  readonly aes: ReturnType<typeof newAesKey>;
  readonly signing: SigningKey;
  readonly checking: ReturnType<typeof checkingHalf>;
}

export function newBackupKeys(): BackupKeys {
  const { privateKey } = generateKeyPairSync('ed25519');
  const signing = loadSigningKey(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 'keys.test');
  return { aes: newAesKey(), signing, checking: checkingHalf(signing) };
}

/** The same, with the files in a directory that they are read from: `ops.key`, `sign.pem` and `sign.pub.pem`. */
export async function writeBackupKeys(directory: string): Promise<BackupKeys> {
  const text = randomBytes(32).toString('base64');
  const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  await writeFile(join(directory, 'ops.key'), `${text}\n`, { mode: 0o600 });
  await writeFile(join(directory, 'sign.pem'), privateKey, { mode: 0o600 });
  await writeFile(join(directory, 'sign.pub.pem'), publicKey);
  const signing = loadSigningKey(privateKey, 'test');
  return { aes: loadAesKey(text, 'test'), signing, checking: checkingHalf(signing) };
}

/** Seals parts, each into objects of at most `objectBytes`, and publishes them as one backup on every backend. */
export async function storeBackup(
  backends: readonly Backend[],
  keys: BackupKeys,
  parts: readonly PlainPart[],
  options: {
    readonly id?: string;
    readonly source?: string;
    readonly startedAt?: string;
    readonly objectBytes?: number;
    readonly recipients?: readonly SealingKey[];
  } = {},
): Promise<Manifest> {
  const identity = sampleManifest({ id: options.id, source: options.source });
  const startedAt = options.startedAt ?? identity.startedAt;
  const recipients = options.recipients ?? [keys.aes];
  const manifest: Manifest = { ...identity, startedAt, parts: [] };
  for (const plain of parts) {
    const context = { backup: manifest.id, part: plain.part, source: manifest.source };
    const compression = { type: 'zstd', level: 1 } as const;
    const sealed = seal(chunked(plain.bytes), { compression, recipients, context });
    const ciphertext = await gather(sealed.ciphertext);
    const totals = sealed.totals();
    const pieces = cut(ciphertext, options.objectBytes ?? Number.POSITIVE_INFINITY);
    const objects = pieces.map((bytes, index) => ({
      name: objectName(plain.part, PART_EXTENSIONS[plain.format], 'zstd', index),
      bytes: bytes.length,
      sha256: sha256(bytes),
    }));
    for (const backend of backends) {
      for (const [index, object] of objects.entries()) {
        await backend.put(objectKey(locationOf(manifest), object.name), pieces[index] ?? Buffer.alloc(0));
      }
    }
    const part: ManifestPart = {
      part: plain.part,
      format: plain.format,
      compression,
      ...totals,
      ratio: (totals.originalBytes / totals.storedBytes).toFixed(2),
      sha256: sha256(ciphertext),
      keyIds: recipients.map((key) => key.id),
      objects,
      startedAt,
      endedAt: manifest.sealedAt,
      ...(plain.tree && { tree: plain.tree }),
    };
    manifest.parts.push(part);
  }
  for (const backend of backends) {
    await backend.put(manifestKey(locationOf(manifest)), signManifest(manifest, keys.signing));
  }
  return manifest;
}

/** A database with rows of every shape a dump has to carry, dumped. */
export async function dumpDatabase(database: TestDatabase): Promise<Buffer> {
  const { binDirectory } = testPostgres();
  const args = ['-h', database.host, '-p', String(database.port), '-U', database.user, '-d', database.name];
  const environment = { PGPASSWORD: database.password };
  await readProcess({
    command: `${binDirectory}/psql`,
    args: [
      '-v',
      'ON_ERROR_STOP=1',
      ...args,
      '-c',
      `create table orders (id int primary key, note text);
       insert into orders select i, md5(i::text) from generate_series(1, 20000) i;
       create table empty_table (id int);
       select lo_from_bytea(0, 'large object');`,
    ],
    environment,
  });
  const { stdout, finished } = startProcess({
    command: `${binDirectory}/pg_dump`,
    args: ['-Fc', '-Z0', ...args],
    environment,
  });
  const bytes = await gather(stdout);
  await finished;
  return bytes;
}

/** A tar archive of a directory with what its manifest says of it. */
export async function archiveDirectory(directory: string): Promise<Pick<PlainPart, 'bytes' | 'tree'>> {
  const { stdout, finished } = startProcess({
    command: 'tar',
    args: ['--format=posix', '-C', directory, '-cf', '-', '.'],
  });
  const bytes = await gather(stdout);
  await finished;
  const { files, directories, links, bytes: contents } = await listArchive(Readable.from([bytes]));
  const none = { count: 0, paths: [] as string[] };
  const lists = { changed: none, vanished: none, unreadable: none, skipped: none };
  return { bytes, tree: { files, directories, links, bytes: contents, ...lists } };
}

export const GLOBALS_SQL = Buffer.from(
  '--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE shop;\n\n--\n-- PostgreSQL database cluster dump complete\n--\n\nALTER DATABASE shop SET work_mem = 1;\n',
);

function cut(bytes: Buffer, size: number): Buffer[] {
  const pieces = Math.max(1, Math.ceil(bytes.length / size));
  const length = Math.ceil(bytes.length / pieces);
  return Array.from({ length: pieces }, (_, index) => bytes.subarray(index * length, (index + 1) * length));
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
