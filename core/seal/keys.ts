import { createHash, createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { HoldfastError } from '../errors.ts';

/** Seals for one recipient. Never holds a private half. */
export type SealingKey = AesKey | RsaPublicKey | KmsKey;

/** Opens what was sealed for it. */
export type OpeningKey = AesKey | RsaPrivateKey | KmsKey;

export interface AesKey {
  readonly type: 'aes-256';
  readonly id: string;
  /** A key object rather than bytes: printing or serializing it shows nothing. */
  readonly secret: KeyObject;
}

export interface RsaPublicKey {
  readonly type: 'rsa';
  readonly id: string;
  readonly publicKey: KeyObject;
}

export interface RsaPrivateKey {
  readonly type: 'rsa';
  readonly id: string;
  readonly privateKey: KeyObject;
}

export interface KmsKey {
  readonly type: 'kms';
  /** The key's ARN: it is what a message names and what its owner looks up. */
  readonly id: string;
}

/** Signs manifests. */
export interface SigningKey {
  readonly type: 'ed25519';
  readonly id: string;
  readonly privateKey: KeyObject;
}

/** Checks the signature of manifests. */
export interface CheckingKey {
  readonly type: 'ed25519';
  readonly id: string;
  readonly publicKey: KeyObject;
}

/** NIST SP 800-57 part 1: 3072 bits of RSA match the 128-bit level, and are trusted beyond 2030. */
const MINIMUM_RSA_BITS = 3072;
const AES_KEY_BYTES = 32;

/**
 * Reads a symmetric key from text: 32 bytes as base64 or hex, surrounded by any white space.
 * `where` says in errors which key it is, e.g. `keys.ops`; the text itself is never shown.
 * Throws InvalidConfiguration.
 */
export function loadAesKey(text: string, where: string): AesKey {
  const bytes = decodeAesKey(text.trim());
  if (bytes === undefined) {
    throw unusable(where, 'expected 32 bytes as base64 (44 characters) or hex (64 characters)');
  }
  if (bytes.every((byte) => byte === bytes[0])) throw unusable(where, 'all its bytes are equal');
  const key: AesKey = { type: 'aes-256', id: aesKeyId(bytes), secret: createSecretKey(bytes) };
  bytes.fill(0);
  return key;
}

/** Reads an RSA public key from PEM. A private key's PEM is refused: it does not belong where sealing is done. */
export function loadRsaPublicKey(pem: string, where: string): RsaPublicKey {
  if (pem.includes('PRIVATE KEY')) {
    throw unusable(where, 'it is a private key where the public half belongs');
  }
  const publicKey = readPem(() => createPublicKey(pem), 'rsa', where);
  refuseShortRsa(publicKey, where);
  return { type: 'rsa', id: publicKeyId('rsa', publicKey), publicKey };
}

/** Reads an unencrypted RSA private key from PEM (PKCS#8 or PKCS#1). */
export function loadRsaPrivateKey(pem: string, where: string): RsaPrivateKey {
  const privateKey = readPem(() => createPrivateKey(pem), 'rsa', where);
  refuseShortRsa(privateKey, where);
  return { type: 'rsa', id: publicKeyId('rsa', createPublicKey(privateKey)), privateKey };
}

/** A key that stays in AWS KMS, named by its ARN. */
export function kmsKey(arn: string): KmsKey {
  return { type: 'kms', id: arn };
}

/** Reads an unencrypted Ed25519 private key from PEM (PKCS#8). */
export function loadSigningKey(pem: string, where: string): SigningKey {
  const privateKey = readPem(() => createPrivateKey(pem), 'ed25519', where);
  return { type: 'ed25519', id: publicKeyId('ed25519', createPublicKey(privateKey)), privateKey };
}

/** Reads an Ed25519 public key from PEM (SPKI). */
export function loadCheckingKey(pem: string, where: string): CheckingKey {
  const publicKey = readPem(() => createPublicKey(pem), 'ed25519', where);
  return { type: 'ed25519', id: publicKeyId('ed25519', publicKey), publicKey };
}

/** The public half of a private key, for sealing and then opening again with the same pair. */
export function sealingHalf(key: OpeningKey): SealingKey {
  if (key.type !== 'rsa') return key;
  return { type: 'rsa', id: key.id, publicKey: createPublicKey(key.privateKey) };
}

/** What checks the signatures of a signing key. */
export function checkingHalf(key: SigningKey): CheckingKey {
  return { type: 'ed25519', id: key.id, publicKey: createPublicKey(key.privateKey) };
}

function decodeAesKey(text: string): Buffer | undefined {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, 'hex');
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === AES_KEY_BYTES ? bytes : undefined;
}

/**
 * Ids follow from the key itself, so renaming a key in the configuration changes nothing about what it opens. The hash
 * of a secret key is taken in a domain of its own and cut to 64 bits: it helps nobody to guess 256 random ones.
 */
function aesKeyId(bytes: Buffer): string {
  const digest = createHash('sha256').update('holdfast aes-256 key id\0').update(bytes).digest('hex');
  return `aes256-${digest.slice(0, 16)}`;
}

/** The first 64 bits of SHA-256 over the DER SubjectPublicKeyInfo (RFC 5280). */
function publicKeyId(prefix: 'rsa' | 'ed25519', publicKey: KeyObject): string {
  const der = publicKey.export({ type: 'spki', format: 'der' });
  return `${prefix}-${createHash('sha256').update(der).digest('hex').slice(0, 16)}`;
}

function readPem(read: () => KeyObject, type: 'rsa' | 'ed25519', where: string): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch {
    // OpenSSL's own message may quote what it was given; what it was given may be a secret.
    throw unusable(where, `expected an unencrypted ${type === 'rsa' ? 'RSA' : 'Ed25519'} key in PEM`);
  }
  if (key.asymmetricKeyType !== type) {
    throw unusable(where, `expected a key of type ${type}, found ${key.asymmetricKeyType ?? 'another'}`);
  }
  return key;
}

function refuseShortRsa(key: KeyObject, where: string): void {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < MINIMUM_RSA_BITS) {
    throw unusable(where, `it has ${bits} bits; RSA keys need at least ${MINIMUM_RSA_BITS}`);
  }
}

function unusable(where: string, reason: string): HoldfastError {
  return new HoldfastError('InvalidConfiguration', `The key ${where} cannot be used: ${reason}.`, {
    advice: 'Make a good one with `holdfast keys generate`, and keep the old one: it opens the old backups.',
  });
}
