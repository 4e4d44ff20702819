import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import canonicalize from 'canonicalize';
import { isHoldfastError, type ErrorType } from '../../../core/errors.ts';
import type { Manifest } from '../../../core/repository/manifest.ts';
import { readUncheckedManifest } from '../../../core/repository/uncheckedManifest.ts';
import { readSignedManifest, signManifest } from '../../../core/repository/signedManifest.ts';
import { checkingHalf, loadSigningKey } from '../../../core/seal/keys.ts';
import { sampleManifest } from './sampleBackup.ts';

function newSigningKey() {
  const { privateKey } = generateKeyPairSync('ed25519');
  return loadSigningKey(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 'keys.sign');
}

function refuses(type: ErrorType, message: RegExp) {
  return (error: unknown) => {
    assert.ok(isHoldfastError(error, type), String(error));
    assert.match(error.message, message);
    return true;
  };
}

const key = newSigningKey();
const checking = [checkingHalf(key)];

/** A manifest whose signature is good whatever it says: what a holder of the key, or a later release, could write. */
function signAnything(change: Record<string, unknown>): Buffer {
  const manifest = { ...sampleManifest(), ...change };
  const value = sign(null, Buffer.from(canonicalize(manifest) ?? ''), key.privateKey).toString('base64');
  return Buffer.from(`${canonicalize({ manifest, signature: { algorithm: 'ed25519', keyId: key.id, value } })}\n`);
}

describe('a signed manifest', () => {
  it('reads back as it was signed', () => {
    assert.deepEqual(readSignedManifest(signManifest(sampleManifest(), key), checking), sampleManifest());
  });

  it('has the same bytes each time, in whatever order its fields were set', () => {
    const manifest = sampleManifest();
    const reversed = Object.fromEntries(Object.entries(manifest).toReversed()) as Manifest;
    assert.ok(signManifest(manifest, key).equals(signManifest(reversed, key)));
  });

  it('keeps every character, and mends what is none', () => {
    const odd = ['Ünïcødé 🦭', 'tab\t, quote", back\\slash, \u0001, \u2028', 'cut \ud83e'];
    const read = readSignedManifest(signManifest({ ...sampleManifest(), warnings: odd }, key), checking);
    assert.deepEqual(read.warnings, [odd[0], odd[1], 'cut \ufffd']);
  });

  it('[24] is refused after any change of one byte', () => {
    const bytes = signManifest(sampleManifest(), key);
    for (let position = 0; position < bytes.length; position++) {
      const changed = Buffer.from(bytes);
      changed[position] = (changed[position] ?? 0) ^ 1;
      assert.throws(
        () => readSignedManifest(changed, checking),
        // A changed byte in the key's own name makes it the name of an unknown key.
        (error: unknown) => isHoldfastError(error, 'ManifestInvalid') || isHoldfastError(error, 'KeyMissing'),
        `byte ${position}`,
      );
    }
  });

  it('[24] is refused when a field was edited, and says so', () => {
    const text = signManifest(sampleManifest(), key).toString('utf8');
    const edited = text.replace('"storedBytes":1234', '"storedBytes":1235');
    assert.notEqual(edited, text);
    assert.throws(
      () => readSignedManifest(Buffer.from(edited), checking),
      refuses('ManifestInvalid', /changed after ed25519-/),
    );
  });

  it('[24] is refused when it says the same twice or differently laid out', () => {
    const text = signManifest(sampleManifest(), key).toString('utf8');
    const twice = text.replace('"kind":"full"', '"kind":"database","kind":"full"');
    const spaced = JSON.stringify(JSON.parse(text), null, 2);
    for (const other of [twice, spaced, text.trimEnd()]) {
      assert.throws(() => readSignedManifest(Buffer.from(other), checking), refuses('ManifestInvalid', /canonical/));
    }
  });

  it('is refused by name when another key signed it', () => {
    const stranger = newSigningKey();
    const bytes = signManifest(sampleManifest(), stranger);
    assert.throws(() => readSignedManifest(bytes, checking), refuses('KeyMissing', new RegExp(stranger.id)));
    assert.throws(() => readSignedManifest(bytes, []), refuses('KeyMissing', /none is at hand/));
  });

  it('[24] is refused when the signature is missing or somebody else’s under a known name', () => {
    const stranger = { ...newSigningKey(), id: key.id };
    assert.throws(
      () => readSignedManifest(signManifest(sampleManifest(), stranger), checking),
      refuses('ManifestInvalid', /changed after/),
    );
    const unsigned = Buffer.from(JSON.stringify({ manifest: sampleManifest() }));
    assert.throws(() => readSignedManifest(unsigned, checking), refuses('ManifestInvalid', /not a signed manifest/));
  });

  it('[24] is refused when a name in it is none, also unsigned', () => {
    const [part] = sampleManifest().parts;
    assert.ok(part);
    const location = { source: 'shop', tier: 'daily', backup: sampleManifest().id } as const;
    for (const name of ['../../etc/passwd', '/tmp/x', '__proto__', '\u001b[31m', 'a\nb', 'A', '', 'x'.repeat(64)]) {
      for (const manifest of [
        { ...sampleManifest(), parts: [{ ...part, part: name }] },
        { ...sampleManifest(), plan: name },
      ]) {
        assert.throws(() => signManifest(manifest, key), refuses('ManifestInvalid', /must match pattern/));
        const signature = { algorithm: 'ed25519', keyId: 'x', value: 'AAAA' };
        const unsigned = Buffer.from(JSON.stringify({ manifest, signature }));
        assert.throws(
          () => readUncheckedManifest(unsigned, { location, where: 'here' }),
          refuses('ManifestInvalid', /must match pattern/),
        );
      }
    }
  });

  it('is refused when it is cut, empty, or no text at all', () => {
    const bytes = signManifest(sampleManifest(), key);
    for (const other of [bytes.subarray(0, 100), Buffer.alloc(0), Buffer.from([0xff, 0xfe, 0x00])]) {
      assert.throws(() => readSignedManifest(other, checking), refuses('ManifestInvalid', /not JSON/));
    }
  });

  it('[24] is refused in another backup’s place, though well signed', () => {
    const bytes = signManifest(sampleManifest(), key);
    const location = { source: 'shop', tier: 'daily', backup: '20261121T020000Z-aaaaaa' } as const;
    assert.throws(
      () => readSignedManifest(bytes, checking, { location }),
      refuses(
        'ManifestInvalid',
        /shop\/daily\/20261121T020000Z-aaaaaa\/manifest\.json .*20261120T020000Z-7f3k9q, moved/,
      ),
    );
    assert.ok(readSignedManifest(bytes, checking, { location: { ...location, backup: sampleManifest().id } }));
  });

  it('of a later version is refused with the advice to use a later release', () => {
    const bytes = signAnything({ version: 2, brandNew: true });
    assert.throws(() => readSignedManifest(bytes, checking), refuses('ManifestInvalid', /version 2; .* up to 1/));
  });

  it('with a field that no release knows is refused, not read in part', () => {
    assert.throws(
      () => readSignedManifest(signAnything({ surprise: 1 }), checking),
      refuses('ManifestInvalid', /surprise/),
    );
  });

  it('cannot be made from what is no manifest', () => {
    const nonsense = { ...sampleManifest(), id: '../../etc' };
    assert.throws(() => signManifest(nonsense, key), refuses('ManifestInvalid', /id/));
  });
});
