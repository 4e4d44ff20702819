import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { buildDecrypt } from '@aws-crypto/decrypt-node';
import { CommitmentPolicy } from '@aws-crypto/material-management-node';
import { RawAesKeyringNode, RawAesWrappingSuiteIdentifier } from '@aws-crypto/raw-aes-keyring-node';
import { seal } from '../../../core/seal/seal.ts';
import { unseal } from '../../../core/seal/unseal.ts';
import { chunked, CONTEXT, gather, newAesKey, newRsaKey, openBytes, sealBytes } from './sealing.ts';

const MIB = 2 ** 20;

function mixedBytes(length: number): Buffer {
  const block = Buffer.concat([randomBytes(3000), Buffer.from('a line of a table that compresses\n'.repeat(200))]);
  return Buffer.alloc(length, block);
}

describe('seal and unseal', () => {
  for (const compression of [
    { type: 'zstd', level: 1 },
    { type: 'zstd', level: 19 },
    { type: 'gzip', level: 6 },
  ] as const) {
    // Around the sizes where a compression frame or an encryption frame is just full.
    for (const length of compression.level === 19
      ? [100_000]
      : [0, 1, 65_536, MIB, 4 * MIB, 4 * MIB + 1, 13 * MIB - 7]) {
      it(`gives ${length} bytes back through ${compression.type} ${compression.level}`, async () => {
        const key = newAesKey();
        const original = mixedBytes(length);
        const sealed = seal(chunked(original), { compression, recipients: [key], context: CONTEXT });
        const ciphertext = await gather(sealed.ciphertext);
        const opened = unseal(chunked(ciphertext), {
          compression: compression.type,
          keys: [key],
          context: CONTEXT,
          originalBytes: length,
        });
        assert.ok((await gather(opened.plaintext)).equals(original));
        assert.equal(sealed.totals().originalBytes, length);
        assert.equal(sealed.totals().storedBytes, ciphertext.length);
        assert.deepEqual(opened.totals(), sealed.totals());
      });
    }
  }

  it('gives incompressible bytes back, whole encryption frames and all', async () => {
    const key = newAesKey();
    const original = randomBytes(9 * MIB);
    assert.ok((await openBytes(await sealBytes(original, { recipients: [key] }), [key])).equals(original));
  });

  it('accepts chunks of any size on both sides', async () => {
    const key = newAesKey();
    const original = mixedBytes(200_000);
    const sealed = seal(chunked(original, 7), {
      compression: { type: 'zstd', level: 1 },
      recipients: [key],
      context: CONTEXT,
    });
    const ciphertext = await gather(sealed.ciphertext);
    const opened = unseal(chunked(ciphertext, 3), { compression: 'zstd', keys: [key], context: CONTEXT });
    assert.ok((await gather(opened.plaintext)).equals(original));
  });

  it('seals for several recipients, of which each alone opens', async () => {
    const [ops, spare, rsa] = [newAesKey(), newAesKey(), newRsaKey()];
    const original = mixedBytes(10_000);
    const ciphertext = await sealBytes(original, { recipients: [ops, rsa.sealing, spare] });
    for (const key of [ops, spare, rsa.opening]) assert.ok((await openBytes(ciphertext, [key])).equals(original));
  });

  it('uses a fresh data key each time: the same bytes never seal the same', async () => {
    const key = newAesKey();
    const original = mixedBytes(1000);
    const first = await sealBytes(original, { recipients: [key] });
    assert.ok(!first.equals(await sealBytes(original, { recipients: [key] })));
  });

  it('makes messages that the AWS Encryption SDK opens, with frames that gzip reads', async () => {
    const key = newAesKey();
    const original = mixedBytes(9 * MIB);
    const ciphertext = await sealBytes(original, { recipients: [key], compression: { type: 'gzip', level: 1 } });
    const keyring = new RawAesKeyringNode({
      keyNamespace: 'holdfast',
      keyName: key.id,
      unencryptedMasterKey: new Uint8Array(key.secret.export()),
      wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
    });
    const { decrypt } = buildDecrypt(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
    const { plaintext, messageHeader } = await decrypt(keyring, ciphertext);
    assert.deepEqual(
      { ...messageHeader.encryptionContext },
      {
        'holdfast:backup': CONTEXT.backup,
        'holdfast:part': CONTEXT.part,
        'holdfast:source': CONTEXT.source,
      },
    );
    assert.ok(gunzipSync(plaintext).equals(original));
  });
});
