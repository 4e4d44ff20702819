import { generateKeyPair, randomBytes } from 'node:crypto';
import { link, open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { codeOf, HoldfastError, messageOf } from '../errors.ts';
import { loadAesKey, loadCheckingKey, loadRsaPublicKey } from './keys.ts';

const NEW_RSA_BITS = 4096;

/** A key written to disk: its id and the files that hold it. */
export interface GeneratedKey {
  readonly id: string;
  /** The secret: the symmetric key or the private half. */
  readonly secretPath: string;
  /** The public half, where there is one. */
  readonly publicPath?: string;
}

/** Writes a new symmetric key, 32 random bytes as base64, to `path`. Never overwrites: throws RefusedForSafety. */
export async function generateAesKey(path: string): Promise<GeneratedKey> {
  const text = `${randomBytes(32).toString('base64')}\n`;
  await writeNewFile(path, text);
  return { id: loadAesKey(text, path).id, secretPath: path };
}

/** Writes a new RSA pair of 4096 bits as PKCS#8 and SPKI PEM. Never overwrites either file: throws RefusedForSafety. */
export async function generateRsaKey(paths: { secret: string; public: string }): Promise<GeneratedKey> {
  const pair = await newPair('rsa');
  await writePair(paths, pair);
  return { id: loadRsaPublicKey(pair.publicKey, paths.public).id, secretPath: paths.secret, publicPath: paths.public };
}

/** Writes a new Ed25519 pair as PKCS#8 and SPKI PEM. Never overwrites either file: throws RefusedForSafety. */
export async function generateSigningKey(paths: { secret: string; public: string }): Promise<GeneratedKey> {
  const pair = await newPair('ed25519');
  await writePair(paths, pair);
  return { id: loadCheckingKey(pair.publicKey, paths.public).id, secretPath: paths.secret, publicPath: paths.public };
}

async function newPair(type: 'rsa' | 'ed25519') {
  const pair =
    type === 'rsa'
      ? await promisify(generateKeyPair)('rsa', { modulusLength: NEW_RSA_BITS })
      : await promisify(generateKeyPair)('ed25519', {});
  return {
    privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
}

async function writePair(paths: { secret: string; public: string }, pair: { privateKey: string; publicKey: string }) {
  await writeNewFile(paths.secret, pair.privateKey);
  try {
    await writeNewFile(paths.public, pair.publicKey);
  } catch (error) {
    // Half a pair under a good name would be taken for a whole one.
    await unlink(paths.secret);
    throw error;
  }
}

/**
 * All of the text or no file, mode 0600, durable once it resolves. A hard link puts the finished file in its place,
 * because unlike rename it fails when something stands there already.
 */
async function writeNewFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(temporary, path);
    await syncDirectory(dirname(path));
  } catch (cause) {
    throw notWritten(path, cause);
  } finally {
    await unlink(temporary).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw notWritten(path, error);
    });
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function notWritten(path: string, cause: unknown): HoldfastError {
  if (codeOf(cause) === 'EEXIST') {
    return new HoldfastError('RefusedForSafety', `${path} exists already; a key is never overwritten.`, {
      advice: 'Choose another file name. Delete an old key only when nothing it opens is needed any more.',
      cause,
    });
  }
  return new HoldfastError('InvalidInput', `The key could not be written to ${path}: ${messageOf(cause)}`, {
    advice: 'Create the directory first, and see that this user may write there.',
    cause,
  });
}
