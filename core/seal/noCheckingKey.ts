import { HoldfastError } from '../errors.ts';

/** Without one nothing that a storage says of its backups can be believed. */
export function noCheckingKey(): HoldfastError {
  return new HoldfastError('KeyMissing', 'No key of the configuration checks signatures.', {
    advice: 'Name the ed25519 key that signed the manifests under keys.',
  });
}
