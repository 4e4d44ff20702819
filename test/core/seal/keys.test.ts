import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { isHoldfastError, type ErrorType } from '../../../core/errors.ts';
import { generateAesKey, generateRsaKey, generateSigningKey } from '../../../core/seal/keyFiles.ts';
import {
  checkingHalf,
  kmsKey,
  loadAesKey,
  loadCheckingKey,
  loadRsaPrivateKey,
  loadRsaPublicKey,
  loadSigningKey,
  sealingHalf,
} from '../../../core/seal/keys.ts';
import { proveKey } from '../../../core/seal/proveKey.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { newAesKey, newRsaKey } from './sealing.ts';

function refuses(type: ErrorType, message: RegExp) {
  return (error: unknown) => {
    assert.ok(isHoldfastError(error, type), String(error));
    assert.match(error.message, message);
    return true;
  };
}

const pem = (bits: number) => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  return {
    private: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    oldPrivate: privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
    public: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
};

describe('AES keys', () => {
  const bytes = Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex');

  it('are read from base64, base64url and hex, and their id is the same for ever', () => {
    for (const text of [
      bytes.toString('base64'),
      bytes.toString('base64url'),
      bytes.toString('hex'),
      `\n ${bytes.toString('hex').toUpperCase()} \n`,
    ]) {
      const key = loadAesKey(text, 'keys.ops');
      assert.equal(key.id, 'aes256-534bb2b5d14640a3');
      assert.ok(key.secret.export().equals(bytes));
    }
  });

  it('are refused when they are short, long, weak or no key at all, without being shown', () => {
    const secrets = [
      randomBytes(31).toString('base64'),
      randomBytes(33).toString('base64'),
      randomBytes(16).toString('hex'),
      'correct horse battery staple',
      '',
    ];
    for (const secret of secrets) {
      assert.throws(
        () => loadAesKey(secret, 'keys.ops'),
        (error: unknown) => {
          assert.ok(refuses('InvalidConfiguration', /keys\.ops.*32 bytes/)(error));
          assert.ok(secret === '' || !inspect(error).includes(secret));
          return true;
        },
      );
    }
    assert.throws(() => loadAesKey('0'.repeat(64), 'keys.ops'), refuses('InvalidConfiguration', /equal/));
    assert.throws(() => loadAesKey('ab'.repeat(32), 'keys.ops'), refuses('InvalidConfiguration', /equal/));
  });

  it('[38] show nothing of themselves when printed or serialized', () => {
    const key = loadAesKey(bytes.toString('base64'), 'keys.ops');
    const shown = inspect(key, { depth: 9, showHidden: true }) + JSON.stringify(key);
    for (const form of ['base64', 'hex'] as const) assert.ok(!shown.includes(bytes.toString(form).slice(0, 20)));
  });
});

describe('RSA keys', () => {
  it('have the same id from either half, in either form', () => {
    const { private: secret, oldPrivate, public: open } = pem(3072);
    const { id } = loadRsaPublicKey(open, 'keys.escrow');
    assert.match(id, /^rsa-[0-9a-f]{16}$/);
    assert.equal(loadRsaPrivateKey(secret, 'keys.escrow').id, id);
    assert.equal(loadRsaPrivateKey(oldPrivate, 'keys.escrow').id, id);
  });

  it('are refused below 3072 bits', () => {
    const { private: secret, public: open } = pem(2048);
    assert.throws(() => loadRsaPublicKey(open, 'keys.escrow'), refuses('InvalidConfiguration', /2048 bits/));
    assert.throws(() => loadRsaPrivateKey(secret, 'keys.escrow'), refuses('InvalidConfiguration', /2048 bits/));
  });

  it('a private key where the public half belongs is refused: it would lie on the worker', () => {
    assert.throws(
      () => loadRsaPublicKey(pem(3072).private, 'keys.escrow'),
      refuses('InvalidConfiguration', /public half/),
    );
  });

  it('other keys and other text are refused', () => {
    const other = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();
    assert.throws(
      () => loadRsaPublicKey(other, 'keys.escrow'),
      refuses('InvalidConfiguration', /type rsa, found ed25519/),
    );
    assert.throws(() => loadRsaPublicKey('hello', 'keys.escrow'), refuses('InvalidConfiguration', /RSA key in PEM/));
  });
});

describe('generated keys', () => {
  it('are written with mode 0600, load again under the same id, and leave nothing else behind', async (t) => {
    const directory = await temporaryDirectory(t);
    const aes = await generateAesKey(join(directory, 'ops.key'));
    const rsa = await generateRsaKey({
      secret: join(directory, 'escrow.pem'),
      public: join(directory, 'escrow.pub.pem'),
    });
    const sign = await generateSigningKey({
      secret: join(directory, 'sign.pem'),
      public: join(directory, 'sign.pub.pem'),
    });
    const text = async (name: string) => await readFile(join(directory, name), 'utf8');

    assert.equal(loadAesKey(await text('ops.key'), 'ops').id, aes.id);
    assert.equal(loadRsaPrivateKey(await text('escrow.pem'), 'escrow').id, rsa.id);
    assert.equal(loadRsaPublicKey(await text('escrow.pub.pem'), 'escrow').id, rsa.id);
    assert.equal(loadSigningKey(await text('sign.pem'), 'sign').id, sign.id);
    assert.equal(loadCheckingKey(await text('sign.pub.pem'), 'sign').id, sign.id);
    const names = await readdir(directory);
    assert.deepEqual(names.toSorted(), ['escrow.pem', 'escrow.pub.pem', 'ops.key', 'sign.pem', 'sign.pub.pem']);
    for (const name of names) assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600);
  });

  it('never overwrite a file, and half a pair is not left behind', async (t) => {
    const directory = await temporaryDirectory(t);
    const taken = join(directory, 'taken');
    await writeFile(taken, 'precious');
    await assert.rejects(generateAesKey(taken), refuses('RefusedForSafety', /exists already/));
    await assert.rejects(
      generateSigningKey({ secret: join(directory, 'sign.pem'), public: taken }),
      refuses('RefusedForSafety', /exists already/),
    );
    assert.deepEqual(await readdir(directory), ['taken']);
    assert.equal(await readFile(taken, 'utf8'), 'precious');
  });

  it('say so when the directory is missing', async (t) => {
    const directory = await temporaryDirectory(t);
    await assert.rejects(
      generateAesKey(join(directory, 'no', 'ops.key')),
      refuses('InvalidInput', /could not be written/),
    );
  });
});

describe('proving a key', () => {
  it('holds for a symmetric key and for a pair', async () => {
    const aes = newAesKey();
    await proveKey(aes, aes);
    const { sealing, opening } = newRsaKey();
    await proveKey(sealing, opening);
  });

  it('[23] fails for a private half of another pair', async () => {
    await assert.rejects(proveKey(newRsaKey().sealing, newRsaKey().opening), refuses('KeyMissing', /opens with rsa-/));
  });
});

describe('halves', () => {
  it('keep the id of their key', () => {
    const rsa = newRsaKey();
    assert.equal(sealingHalf(rsa.opening).id, rsa.opening.id);
    const aes = newAesKey();
    assert.equal(sealingHalf(aes), aes);
    assert.equal(kmsKey('arn:aws:kms:eu-west-1:1:key/a').id, 'arn:aws:kms:eu-west-1:1:key/a');
    const privatePem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const signing = loadSigningKey(privatePem, 'keys.sign');
    assert.equal(checkingHalf(signing).id, signing.id);
  });
});
