import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { HoldfastError } from '../core/errors.ts';

export type GeneratableType = 'aes-256' | 'rsa' | 'ed25519';

export interface MadeKey {
  readonly name: string;
  readonly type: GeneratableType;
  readonly id: string;
  readonly files: { readonly secret: string; readonly public?: string };
  /** The line for holdfast.yaml. */
  readonly yaml: string;
  readonly advice: string;
}

/** Makes a key and writes it to `directory`, which is created with mode 0700. Never overwrites: rejects RefusedForSafety. */
export async function generateKey(name: string, type: GeneratableType, directory: string): Promise<MadeKey> {
  if (!/^[a-z0-9][a-z0-9_-]{0,62}$/.test(name)) {
    throw new HoldfastError('InvalidInput', 'a key name has lower-case letters, digits, - and _, at most 63', {
      advice: 'Choose a name such as ops, escrow or sign.',
    });
  }
  const folder = resolve(directory);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { generateAesKey, generateRsaKey, generateSigningKey } = await import('../core/seal/keyFiles.ts');
  if (type === 'aes-256') {
    const secret = join(folder, `${name}.key`);
    const { id } = await generateAesKey(secret);
    const yaml = `${name}: { type: aes-256, key: { file: ${secret} } }`;
    return { name, type, id, files: { secret }, yaml, advice: LOSS };
  }
  const files = { secret: join(folder, `${name}.pem`), public: join(folder, `${name}.pub.pem`) };
  if (type === 'rsa') {
    const { id } = await generateRsaKey(files);
    const yaml = `${name}: { type: rsa, publicKey: { file: ${files.public} } }`;
    return { name, type, id, files, yaml, advice: moveAway(name, files.secret) };
  }
  const { id } = await generateSigningKey(files);
  const yaml = `${name}: { type: ed25519, privateKey: { file: ${files.secret} } }`;
  return { name, type, id, files, yaml, advice: KEEP_PUBLIC };
}

const LOSS = 'Whoever has this file can read the backups, and without it or another key of the plan nobody can.';
const KEEP_PUBLIC = 'Keep the public half with your recovery notes: it tells real manifests from forged ones.';

export function moveAway(name: string, secret: string): string {
  return `Move ${secret} off this machine now (two sticks, two places), then prove it from there:
  holdfast keys prove ${name} --private-key /mnt/stick/${name}.pem`;
}
