import { type KeyObject } from 'node:crypto';
import {
  KmsKeyringNode,
  MultiKeyringNode,
  RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier,
  RawRsaKeyringNode,
  type KeyringNode,
  type RawRsaKeyringNodeInput,
} from '@aws-crypto/client-node';
import type { AesKey, OpeningKey, SealingKey } from './keys.ts';

/** The provider id of every raw key in a message; the key's id is its name. */
export const KEY_NAMESPACE = 'holdfast';

/** Wraps one data key for every recipient: each of them alone opens the message. */
export function sealingKeyring(recipients: readonly SealingKey[]): KeyringNode {
  const [generator, ...children] = recipients.map((key) => keyringOf(key));
  if (generator === undefined) throw new TypeError('sealing needs at least one recipient');
  return new MultiKeyringNode({ generator, children });
}

/** Tries every key that a message names. */
export function openingKeyring(keys: readonly OpeningKey[]): KeyringNode {
  return new MultiKeyringNode({ children: keys.map((key) => keyringOf(key)) });
}

function keyringOf(key: SealingKey | OpeningKey): KeyringNode {
  if (key.type === 'aes-256') return aesKeyring(key);
  // Region from the ARN; credentials from the ambient chain.
  if (key.type === 'kms') return new KmsKeyringNode({ generatorKeyId: key.id });
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
