import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { PART_EXTENSIONS } from '../../core/backup/part.ts';
import { backupPrefix, manifestKey, objectKey } from '../../core/repository/layout.ts';
import { readSignedManifest, signManifest } from '../../core/repository/signedManifest.ts';
import { loadAesKey, loadCheckingKey, loadRsaPrivateKey, loadSigningKey } from '../../core/seal/keys.ts';
import { unseal } from '../../core/seal/unseal.ts';
import { chunked, gather } from '../core/seal/sealing.ts';

/** What a release once wrote, every later one must open. */

const ROOT = join(import.meta.dirname, 'v1');
const LOCATION = { source: 'shop', tier: 'daily', backup: '20261120T020000Z-7f3k9q' } as const;

const text = async (path: string) => await readFile(join(ROOT, path), 'utf8');

describe('the vectors of format version 1', () => {
  it('have a manifest that checks, and signing it again gives the same bytes', async () => {
    const bytes = await readFile(join(ROOT, manifestKey(LOCATION)));
    const checking = loadCheckingKey(await text('keys/sign.pub.pem'), 'sign');
    const manifest = readSignedManifest(bytes, [checking], { location: LOCATION });
    assert.ok(signManifest(manifest, loadSigningKey(await text('keys/sign.pem'), 'sign')).equals(bytes));
  });

  for (const recipient of ['ops.key', 'escrow.pem']) {
    it(`open with ${recipient}, every part to what was sealed`, async () => {
      const checking = loadCheckingKey(await text('keys/sign.pub.pem'), 'sign');
      const manifest = readSignedManifest(await readFile(join(ROOT, manifestKey(LOCATION))), [checking]);
      const keyText = await text(`keys/${recipient}`);
      const key = recipient === 'ops.key' ? loadAesKey(keyText, 'ops') : loadRsaPrivateKey(keyText, 'escrow');
      assert.deepEqual(
        manifest.parts.map(({ part, objects }) => [part, objects.length > 1]),
        [
          ['database', true],
          ['media', false],
          ['globals', false],
          ['inventory', true],
        ],
      );
      for (const part of manifest.parts) {
        const objects = await Promise.all(
          part.objects.map(async ({ name }) => await readFile(join(ROOT, objectKey(LOCATION, name)))),
        );
        const opened = unseal(chunked(Buffer.concat(objects)), {
          compression: part.compression.type,
          keys: [key],
          context: { backup: manifest.id, part: part.part, source: manifest.source },
          originalBytes: part.originalBytes,
        });
        const expected = await readFile(join(ROOT, 'expected', `${part.part}.${PART_EXTENSIONS[part.format]}`));
        assert.ok((await gather(opened.plaintext)).equals(expected), `${part.part} in ${backupPrefix(LOCATION)}`);
        assert.equal(opened.totals().compressedBytes, part.compressedBytes);
      }
    });
  }
});
