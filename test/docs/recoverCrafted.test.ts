import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it, type TestContext } from 'node:test';
import { gzipSync, zstdCompressSync, constants } from 'node:zlib';
import type { Compression } from '../../core/config/schema.ts';
import type { Manifest, ManifestPart } from '../../core/repository/manifest.ts';
import { encrypt } from '../../core/seal/encrypt.ts';
import { loadAesKey } from '../../core/seal/keys.ts';
import { sampleManifest } from '../core/repository/sampleBackup.ts';
import { gather } from '../core/seal/sealing.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { bringPython } from '../support/python.ts';

/** docs/recover.py on copies that somebody who can seal, but not sign, made up to deceive it. */

const SCRIPT = join(import.meta.dirname, '..', '..', 'docs', 'recover.py');
const KEY = createHash('sha256').update('a key').digest('base64');
const PLAIN = Buffer.from('a line of SQL\n'.repeat(5_000));
const FRAME = zstdCompressSync(PLAIN, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
const SKIPPABLE = Buffer.from('502a4d180400000001020304', 'hex');

describe('[16] [28] docs/recover.py refuses what was sealed by somebody else:', () => {
  let python = 'python3';
  before(async () => {
    python = await bringPython();
  });

  interface Content {
    readonly what: string;
    readonly type?: Compression['type'];
    readonly compressed: Buffer;
    readonly plainBytes?: number;
  }
  const contents: Content[] = [
    { what: 'a frame with a wrong checksum', compressed: withFlip(FRAME, FRAME.length - 1) },
    { what: 'a frame without its checksum', compressed: FRAME.subarray(0, -4) },
    { what: 'a frame that never had a checksum', compressed: zstdCompressSync(PLAIN) },
    { what: 'a skippable frame', compressed: Buffer.concat([FRAME, SKIPPABLE]) },
    { what: 'zeros behind the last frame', compressed: Buffer.concat([FRAME, Buffer.alloc(16)]) },
    { what: 'no frame at all', compressed: Buffer.alloc(0), plainBytes: 0 },
    { what: 'a frame beyond the limit', compressed: bomb(9), plainBytes: 9 * 2 ** 20 },
    { what: 'more bytes than the manifest says', compressed: bomb(8), plainBytes: 1_000 },
    { what: 'gzip zeros', type: 'gzip', compressed: Buffer.concat([gzipSync(PLAIN), Buffer.alloc(16)]) },
    { what: 'a cut gzip member', type: 'gzip', compressed: gzipSync(PLAIN).subarray(0, -3) },
    { what: 'gzip bomb', type: 'gzip', compressed: gzipSync(Buffer.alloc(2 ** 26)), plainBytes: 1_000 },
  ];
  for (const withPackage of [true, false]) {
    for (const content of contents) {
      it(`${content.what}, ${withPackage ? 'with' : 'without'} a package for zstd`, async (t) => {
        const { folder, directory } = await craft(t, [await sealed(content)]);
        const { code, stderr } = await recover(directory, folder, withPackage);
        assert.equal(code, 1, stderr);
        assert.match(stderr, /^refused: part globals: /m);
        assert.deepEqual(await readdir(join(directory, 'out')), []);
      });
    }
  }

  it('what opens rightly is still opened, several frames and members too', async (t) => {
    for (const content of [
      { what: 'zstd', compressed: Buffer.concat([FRAME, FRAME]), plainBytes: 2 * PLAIN.length },
      {
        what: 'gzip',
        type: 'gzip' as const,
        compressed: Buffer.concat([gzipSync(PLAIN), gzipSync(PLAIN)]),
        plainBytes: 2 * PLAIN.length,
      },
    ]) {
      const { folder, directory } = await craft(t, [await sealed(content)]);
      const { code, stderr } = await recover(directory, folder, true);
      assert.equal(code, 0, stderr);
      assert.ok((await readFile(join(directory, 'out', 'globals.sql'))).equals(Buffer.concat([PLAIN, PLAIN])));
    }
  });

  it('[24] a manifest in the folder of another backup', async (t) => {
    const { folder, directory } = await craft(
      t,
      [await sealed({ what: '', compressed: FRAME })],
      '20990101T000000Z-000000',
    );
    const { code, stderr } = await recover(directory, folder, true);
    assert.equal(code, 1);
    assert.match(stderr, /the folder is of 20990101T000000Z-000000, the manifest of/);
  });

  it('manifests of any other shape, without a stack trace or an escape sequence', async (t) => {
    const part = await sealed({ what: '', compressed: FRAME });
    const texts = [
      '[]',
      'null',
      '[',
      '['.repeat(100_000) + ']'.repeat(100_000),
      JSON.stringify({ manifest: { ...sampleManifest(), parts: null }, signature: {} }),
      ...['../../out', '\u001b[31mred', '/tmp/x', ''].map((name) =>
        JSON.stringify({ manifest: { ...sampleManifest(), parts: [{ ...part.entry, part: name }] }, signature: {} }),
      ),
    ];
    for (const text of texts) {
      const { folder, directory } = await craft(t, [part]);
      await writeFile(join(folder, 'manifest.json'), text);
      const { code, stdout, stderr } = await recover(directory, folder, true);
      assert.equal(code, 1);
      assert.match(stderr, /^refused: /m);
      assert.ok(!(stdout + stderr).includes('Traceback') && !(stdout + stderr).includes('\u001b'));
    }
  });

  async function recover(directory: string, folder: string, withPackage: boolean) {
    if (!withPackage) {
      // A module of this name that cannot be imported hides the installed one.
      await writeFile(join(directory, 'zstandard.py'), 'raise ImportError("hidden by the test")\n');
    }
    await copyFile(SCRIPT, join(directory, 'recover.py'));
    const args = [join(directory, 'recover.py'), folder, '--key', join(directory, 'ops.key')];
    return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
      execFile(python, [...args, '--to', join(directory, 'out')], (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
      });
    });
  }
});

interface CraftedPart {
  readonly entry: ManifestPart;
  readonly bytes: Buffer;
}

async function sealed({
  type = 'zstd',
  compressed,
  plainBytes = PLAIN.length,
}: {
  readonly type?: Compression['type'];
  readonly compressed: Buffer;
  readonly plainBytes?: number;
  readonly what: string;
}): Promise<CraftedPart> {
  const { id, source } = sampleManifest();
  const key = loadAesKey(KEY, 'ops');
  const stream = (async function* () {
    yield await Promise.resolve(compressed);
  })();
  const bytes = await gather(encrypt(stream, [key], { backup: id, part: 'globals', source }));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return {
    bytes,
    entry: {
      part: 'globals',
      format: 'sql',
      compression: { type, level: 1 },
      originalBytes: plainBytes,
      compressedBytes: compressed.length,
      storedBytes: bytes.length,
      ratio: '1.00',
      sha256,
      keyIds: [key.id],
      objects: [{ name: 'globals.sql.enc', bytes: bytes.length, sha256 }],
      startedAt: '2026-11-20T02:00:01.000Z',
      endedAt: '2026-11-20T02:00:09.000Z',
    },
  };
}

/** A folder with an unsigned manifest. */
async function craft(t: TestContext, parts: readonly CraftedPart[], name = 'copy') {
  const directory = await temporaryDirectory(t);
  const folder = join(directory, name);
  await mkdir(folder);
  await mkdir(join(directory, 'out'));
  await writeFile(join(directory, 'ops.key'), KEY);
  for (const { bytes, entry } of parts) await writeFile(join(folder, entry.objects[0]?.name ?? ''), bytes);
  const manifest: Manifest = { ...sampleManifest(), parts: parts.map(({ entry }) => entry) };
  await writeFile(join(folder, 'manifest.json'), JSON.stringify({ manifest, signature: {} }));
  return { directory, folder };
}

function withFlip(bytes: Buffer, position: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8((changed[position] ?? 0) ^ 1, position);
  return changed;
}

function bomb(mebibytes: number): Buffer {
  return zstdCompressSync(Buffer.alloc(mebibytes * 2 ** 20), { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
}
