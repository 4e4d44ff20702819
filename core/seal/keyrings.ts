import { type KeyObject } from 'node:crypto';
import { MultiKeyringNode, type KeyringNode } from '@aws-crypto/material-management-node';
import { RawAesKeyringNode, RawAesWrappingSuiteIdentifier } from '@aws-crypto/raw-aes-keyring-node';
import { RawRsaKeyringNode, type RawRsaKeyringNodeInput } from '@aws-crypto/raw-rsa-keyring-node';
import type { AesKey, OpeningKey, SealingKey } from './keys.ts';

/** The provider id of every raw key in a message; the key's id is its name. */
export const KEY_NAMESPACE = 'holdfast';

/** Wraps one data key for every recipient: each of them alone opens the message. */
export async function sealingKeyring(recipients: readonly SealingKey[]): Promise<KeyringNode> {
  const [generator, ...children] = await Promise.all(recipients.map(keyringOf));
  if (generator === undefined) throw new TypeError('sealing needs at least one recipient');
  return new MultiKeyringNode({ generator, children });
}

/** Tries every key that a message names. */
export async function openingKeyring(keys: readonly OpeningKey[]): Promise<KeyringNode> {
  return new MultiKeyringNode({ children: await Promise.all(keys.map(keyringOf)) });
}

async function keyringOf(key: SealingKey | OpeningKey): Promise<KeyringNode> {
  if (key.type === 'aes-256') return aesKeyring(key);
  if (key.type === 'kms') {
    // With it comes a whole client for AWS, which every garbage collection then walks: only who needs it loads it.
    const { KmsKeyringNode } = await import('@aws-crypto/kms-keyring-node');
    // Region from the ARN; credentials from the ambient chain.
    return new KmsKeyringNode({ generatorKeyId: key.id });
  }
  return rsaKeyring(key.id, 'publicKey' in key ? { publicKey: key.publicKey } : { privateKey: key.privateKey });
}

function aesKeyring(key: AesKey): KeyringNode {
  const bytes = key.secret.export();
  // The library keeps what it is given and wants it to be a buffer of its own, not a view into Node's shared pool.
  const unencryptedMasterKey = new Uint8Array(bytes);
  bytes.fill(0);
  return new RawAesKeyringNode({
    keyNamespace: KEY_NAMESPACE,
    keyName: key.id,
    unencryptedMasterKey,
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
  });
}

function rsaKeyring(id: string, rsaKey: { publicKey: KeyObject } | { privateKey: KeyObject }): KeyringNode {
  return new RawRsaKeyringNode({
    keyNamespace: KEY_NAMESPACE,
    keyName: id,
    // Node's own key objects are what it takes; its declaration knows an older, narrower type of them.
    rsaKey: rsaKey as unknown as RawRsaKeyringNodeInput['rsaKey'],
    oaepHash: 'sha256',
  });
}
