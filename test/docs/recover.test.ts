import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { copyFile, cp, mkdir, readdir, readFile, rename, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { PART_EXTENSIONS } from '../../core/backup/part.ts';
import type { Compression } from '../../core/config/schema.ts';
import { objectName } from '../../core/repository/layout.ts';
import type { Manifest, ManifestPart } from '../../core/repository/manifest.ts';
import { signManifest } from '../../core/repository/signedManifest.ts';
import { loadAesKey, loadRsaPublicKey, loadSigningKey, type SealingKey } from '../../core/seal/keys.ts';
import { seal } from '../../core/seal/seal.ts';
import { chunked, gather } from '../core/seal/sealing.ts';
import { sampleManifest } from '../core/repository/sampleBackup.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { bringPython } from '../support/python.ts';

/** docs/recover.py, run as an operator runs it, on copies that the application's own code has written. */

const MIB = 2 ** 20;
const SCRIPT = join(import.meta.dirname, '..', '..', 'docs', 'recover.py');
const VECTORS = join(import.meta.dirname, '..', 'vectors', 'v1');

let python = 'python3';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function recover(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(python, [SCRIPT, ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

interface Copy {
  readonly folder: string;
  readonly keys: { readonly aes: string; readonly rsa: string; readonly check: string };
  readonly originals: Readonly<Record<string, Buffer>>;
}

/** A copy with two database parts of 11 MiB (both frames' borders are crossed), the first in objects of 3 MiB. */
async function writeCopy(directory: string, compression: Compression): Promise<Copy> {
  const folder = join(directory, 'copy');
  await mkdir(folder);
  const { recipients, signing, keys } = await writeKeys(directory);
  const originals = {
    database: Buffer.concat([randomBytes(6 * MIB), Buffer.alloc(5 * MIB, 'rows that compress\n')]),
    'rows-1': randomBytes(2 * MIB),
  };
  const parts: ManifestPart[] = [];
  for (const [part, original] of Object.entries(originals)) {
    parts.push(await writePart(folder, { part, original, compression, recipients }));
  }
  const manifest: Manifest = { ...sampleManifest(), parts, warnings: ['“ü” and 🦭 and \u0001 and "quotes"\n'] };
  await writeFile(join(folder, 'manifest.json'), signManifest(manifest, signing));
  return { folder, keys, originals };
}

const ZSTD = { type: 'zstd', level: 1 } as const;

/** A test's own copy of a copy that was written once for all of them. */
async function ownCopy(t: TestContext, written: Copy): Promise<Copy> {
  const folder = join(await temporaryDirectory(t), 'copy');
  await cp(written.folder, folder, { recursive: true });
  return { ...written, folder };
}

async function writeKeys(directory: string) {
  const aes = randomBytes(32).toString('base64');
  const rsa = generateKeyPairSync('rsa', { modulusLength: 3072 });
  const ed25519 = generateKeyPairSync('ed25519');
  const keys = {
    aes: join(directory, 'ops.key'),
    rsa: join(directory, 'escrow.pem'),
    check: join(directory, 'sign.pub.pem'),
  };
  await writeFile(keys.aes, aes);
  await writeFile(keys.rsa, rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await writeFile(keys.check, ed25519.publicKey.export({ type: 'spki', format: 'pem' }));
  return {
    keys,
    recipients: [
      loadAesKey(aes, 'ops'),
      loadRsaPublicKey(rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString(), 'escrow'),
    ],
    signing: loadSigningKey(ed25519.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 'sign'),
  };
}

async function writePart(
  folder: string,
  plan: { part: string; original: Buffer; compression: Compression; recipients: readonly SealingKey[] },
): Promise<ManifestPart> {
  const { id, source } = sampleManifest();
  const sealed = seal(chunked(plan.original), { ...plan, context: { backup: id, part: plan.part, source } });
  const ciphertext = await gather(sealed.ciphertext);
  const objects: ManifestPart['objects'] = [];
  for await (const bytes of chunked(ciphertext, 3 * MIB)) {
    const name = objectName(plan.part, PART_EXTENSIONS['pg_dump-custom'], plan.compression.type, objects.length);
    await writeFile(join(folder, name), bytes);
    objects.push({ name, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
  }
  return {
    ...sealed.totals(),
    part: plan.part,
    format: 'pg_dump-custom',
    compression: plan.compression,
    ratio: '1.00',
    sha256: createHash('sha256').update(ciphertext).digest('hex'),
    keyIds: plan.recipients.map((key) => key.id),
    objects,
    startedAt: '2026-11-20T02:00:01.000Z',
    endedAt: '2026-11-20T02:00:09.000Z',
  };
}

async function flipBit(path: string, position: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[position] = (bytes[position] ?? 0) ^ 1;
  await writeFile(path, bytes);
}

/** Makes the manifest fit changed objects, as somebody would who can write to the storage but holds no key. */
async function forgeHashes(folder: string): Promise<void> {
  const path = join(folder, 'manifest.json');
  const document = JSON.parse(await readFile(path, 'utf8')) as { manifest: Manifest };
  for (const part of document.manifest.parts) {
    const objects = await Promise.all(part.objects.map(async ({ name }) => await readFile(join(folder, name))));
    for (const [index, object] of part.objects.entries()) {
      object.bytes = objects[index]?.length ?? 0;
      object.sha256 = createHash('sha256')
        .update(objects[index] ?? '')
        .digest('hex');
    }
    const whole = Buffer.concat(objects);
    part.storedBytes = whole.length;
    part.sha256 = createHash('sha256').update(whole).digest('hex');
  }
  await writeFile(path, JSON.stringify(document));
}

describe('docs/recover.py', () => {
  let zstdCopy: Copy;
  const releases: (() => Promise<unknown>)[] = [];

  before(async () => {
    python = await bringPython();
    zstdCopy = await writeCopy(await temporaryDirectory({ after: (release) => releases.push(release) }), ZSTD);
  });
  after(async () => await Promise.all(releases.map((release) => release())));

  for (const compression of [ZSTD, { type: 'gzip', level: 1 } as const]) {
    it(`[23] opens ${compression.type} parts of several objects with the AES key, and with the escrow key alone`, async (t) => {
      const { folder, keys, originals } =
        compression.type === 'zstd' ? zstdCopy : await writeCopy(await temporaryDirectory(t), compression);
      for (const key of [keys.aes, keys.rsa]) {
        const to = await temporaryDirectory(t);
        const { code, stderr } = await recover(folder, '--key', key, '--check', keys.check, '--to', to);
        assert.equal(code, 0, stderr);
        for (const [part, original] of Object.entries(originals)) {
          assert.ok((await readFile(join(to, `${part}.dump`))).equals(original));
        }
      }
    });
  }

  it('opens the committed vectors', async (t) => {
    const to = await temporaryDirectory(t);
    const folder = join(VECTORS, 'shop', 'daily', '20261120T020000Z-7f3k9q');
    const keys = join(VECTORS, 'keys');
    for (const key of ['ops.key', 'escrow.pem']) {
      const args = [folder, '--key', join(keys, key), '--check', join(keys, 'sign.pub.pem'), '--to', to];
      const { code, stderr } = await recover(...args);
      assert.equal(code, 0, stderr);
      const expected = (await readdir(join(VECTORS, 'expected'))).toSorted();
      assert.deepEqual((await readdir(to)).toSorted(), expected);
      for (const name of expected) {
        assert.ok((await readFile(join(to, name))).equals(await readFile(join(VECTORS, 'expected', name))), name);
      }
    }
  });

  it('lists the parts without a key, and warns when it cannot check the signature', async (t) => {
    const { folder } = await ownCopy(t, zstdCopy);
    const { code, stdout, stderr } = await recover(folder, '--list');
    assert.equal(code, 0);
    assert.match(stdout, /^database pg_dump-custom 11534336 opens with aes256-[0-9a-f]{16} or rsa-[0-9a-f]{16}$/m);
    assert.match(stderr, /without --check/);
  });

  describe('[16] [24] refuses, and leaves no file behind:', () => {
    interface Damage {
      readonly what: string;
      readonly damage: (folder: string) => Promise<void>;
      readonly says: RegExp;
    }
    const first = 'database.dump.zst.enc';
    const damages: Damage[] = [
      {
        what: 'a flipped bit',
        damage: async (folder) => await flipBit(join(folder, first), 2 * MIB),
        says: /database: .* other bytes than were stored/,
      },
      {
        what: 'a cut byte',
        damage: async (folder) => await truncate(join(folder, first), 3 * MIB - 1),
        says: /has not the 3145728 bytes/,
      },
      {
        what: 'two objects in each other’s place',
        damage: async (folder) => {
          await rename(join(folder, first), join(folder, 'x'));
          await rename(join(folder, `${first}.001`), join(folder, first));
          await rename(join(folder, 'x'), join(folder, `${first}.001`));
        },
        says: /other bytes than were stored/,
      },
      {
        what: 'an edited manifest',
        damage: async (folder) => {
          const path = join(folder, 'manifest.json');
          const text = await readFile(path, 'utf8');
          await writeFile(path, text.replace('"kind":"full"', '"kind":"logs"'));
        },
        says: /not signed by this key, or was changed/,
      },
      {
        what: 'a manifest forged to fit',
        damage: async (folder) => {
          await flipBit(join(folder, first), 2 * MIB);
          await forgeHashes(folder);
        },
        says: /not signed by this key, or was changed/,
      },
    ];
    for (const { what, damage, says } of damages) {
      it(what, async (t) => {
        const { folder, keys } = await ownCopy(t, zstdCopy);
        const to = await temporaryDirectory(t);
        await damage(folder);
        const args = [folder, '--key', keys.aes, '--check', keys.check, '--part', 'database', '--to', to];
        const { code, stderr } = await recover(...args);
        assert.equal(code, 1, stderr);
        assert.match(stderr, says);
        assert.deepEqual(await readdir(to), []);
      });
    }
  });

  describe('[16] [24] without the signature’s key, the seal itself refuses:', () => {
    interface Damage {
      readonly what: string;
      readonly damage: (folder: string) => Promise<void>;
      readonly says: RegExp;
    }
    const last = 'rows-1.dump.zst.enc';
    const damages: Damage[] = [
      {
        what: 'a flipped bit in a frame',
        damage: async (folder) => await flipBit(join(folder, last), MIB),
        says: /not what was sealed/,
      },
      {
        what: 'a flipped bit in the header’s commitment',
        damage: async (folder) => await flipBit(join(folder, last), (await headerLength(join(folder, last))) - 20),
        says: /sealed under two keys/,
      },
      {
        what: 'a lost final frame',
        damage: async (folder) => {
          const bytes = await readFile(join(folder, last));
          await writeFile(
            join(folder, last),
            bytes.subarray(0, (await headerLength(join(folder, last))) + 2 * (MIB + 32)),
          );
        },
        says: /is cut/,
      },
      {
        what: 'bytes behind the final frame',
        damage: async (folder) => {
          await writeFile(join(folder, last), Buffer.concat([await readFile(join(folder, last)), randomBytes(100)]));
        },
        says: /follow the final frame/,
      },
      {
        what: 'another part in its place',
        damage: async (folder) => {
          const objects = ['database.dump.zst.enc', 'database.dump.zst.enc.001', 'database.dump.zst.enc.002'];
          const other = await Promise.all(objects.map(async (name) => await readFile(join(folder, name))));
          await writeFile(join(folder, last), Buffer.concat(other));
        },
        says: /sealed as something else/,
      },
    ];
    for (const { what, damage, says } of damages) {
      it(what, async (t) => {
        const { folder, keys } = await ownCopy(t, zstdCopy);
        const to = await temporaryDirectory(t);
        await damage(folder);
        await forgeHashes(folder);
        const { code, stderr } = await recover(folder, '--key', keys.aes, '--part', 'rows-1', '--to', to);
        assert.equal(code, 1, stderr);
        assert.match(stderr, says);
        assert.deepEqual(await readdir(to), []);
      });
    }
  });

  it('[23] names the keys that would open it when given another', async (t) => {
    const { folder, keys } = await ownCopy(t, zstdCopy);
    const to = await temporaryDirectory(t);
    const wrong = join(to, 'wrong.key');
    await writeFile(wrong, randomBytes(32).toString('hex'));
    const { code, stderr } = await recover(folder, '--key', wrong, '--check', keys.check, '--to', join(to, 'out'));
    assert.equal(code, 1);
    assert.match(stderr, /it opens with aes256-[0-9a-f]{16} or rsa-[0-9a-f]{16}/);
    assert.ok(!stderr.includes(await readFile(wrong, 'utf8')));
  });

  it('[23] says of a key of the wrong kind what it is, and blames no manifest', async (t) => {
    const { folder, keys } = await ownCopy(t, zstdCopy);
    const to = await temporaryDirectory(t);
    const pem = { type: 'pkcs8', format: 'pem' } as const;
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const under = rsa.privateKey.export({ ...pem, cipher: 'aes-256-cbc', passphrase: 'secret' });
    const files: Record<string, string | Buffer> = {
      publicHalf: rsa.publicKey.export({ type: 'spki', format: 'pem' }),
      under,
      signing: generateKeyPairSync('ed25519').privateKey.export(pem),
      damaged: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n',
      noKey: 'no key',
    };
    for (const [name, contents] of Object.entries(files)) await writeFile(join(to, name), contents);
    const wrong: [option: string, file: string, says: RegExp][] = [
      ['--key', 'publicHalf', /^refused: what --key names is no private key: only the private half opens$/m],
      ['--key', 'under', /^refused: what --key names is under a passphrase: take it off first/m],
      ['--key', 'signing', /^refused: what --key names is a key of another kind/m],
      ['--key', 'damaged', /^refused: what --key names is no private key in PEM, or a damaged one$/m],
      ['--key', 'noKey', /^refused: the key file holds no 32 bytes/m],
      ['--check', 'publicHalf', /^refused: what --check names is no signing key: those are Ed25519$/m],
      ['--check', 'signing', /^refused: what --check names is no public key in PEM$/m],
    ];
    for (const [option, file, says] of wrong) {
      const good = option === '--key' ? ['--check', keys.check] : ['--key', keys.aes];
      const { code, stderr } = await recover(folder, option, join(to, file), ...good, '--to', join(to, 'out'));
      assert.equal(code, 1, stderr);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /manifest is not|Error/);
    }
  });

  it('reads zstd through the program where Python has no package for it', async (t) => {
    const { folder, keys, originals } = await ownCopy(t, zstdCopy);
    const directory = await temporaryDirectory(t);
    const to = join(directory, 'out');
    // A module of this name that cannot be imported hides the installed one.
    await writeFile(join(directory, 'zstandard.py'), 'raise ImportError("hidden by the test")\n');
    await copyFile(SCRIPT, join(directory, 'recover.py'));
    await new Promise<void>((resolve, reject) => {
      const args = [join(directory, 'recover.py'), folder, '--key', keys.rsa, '--check', keys.check, '--to', to];
      execFile(python, args, (error) => (error ? reject(error) : resolve()));
    });
    for (const [part, original] of Object.entries(originals)) {
      assert.ok((await readFile(join(to, `${part}.dump`))).equals(original));
    }
  });

  it('leaves the copy as it was', async (t) => {
    const { folder, keys } = await ownCopy(t, zstdCopy);
    const saved = await temporaryDirectory(t);
    await cp(folder, saved, { recursive: true });
    await recover(folder, '--key', keys.aes, '--check', keys.check, '--to', join(saved, 'out'));
    for (const name of await readdir(folder)) {
      assert.ok((await readFile(join(folder, name))).equals(await readFile(join(saved, name))));
    }
  });
});

/** Bytes of a message's header with its tag, by its parts as docs/format.md lists them. */
async function headerLength(path: string): Promise<number> {
  const bytes = await readFile(path);
  let offset = 1 + 2 + 32;
  offset += 2 + bytes.readUInt16BE(offset);
  const recipients = bytes.readUInt16BE(offset);
  offset += 2;
  for (let field = 0; field < recipients * 3; field++) offset += 2 + bytes.readUInt16BE(offset);
  return offset + 1 + 4 + 32 + 16;
}
