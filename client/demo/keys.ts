import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { generateAesKey, generateRsaKey, generateSigningKey } from '../../core/seal/keyFiles.ts';
import type { DemoKeys } from './configuration.ts';

/** Makes the demo's keys, once: one for the worker, an escrow pair, one that signs. */
export async function makeKeys(directory: string): Promise<DemoKeys> {
  const keys = {
    ops: join(directory, 'ops.key'),
    escrowPublic: join(directory, 'escrow.pub.pem'),
    escrowSecret: join(directory, 'escrow.pem'),
    sign: join(directory, 'sign.pem'),
    signPublic: join(directory, 'sign.pub.pem'),
  };
  if (await isMissing(keys.ops)) await generateAesKey(keys.ops);
  if (await isMissing(keys.escrowSecret)) {
    await generateRsaKey({ secret: keys.escrowSecret, public: keys.escrowPublic });
  }
  if (await isMissing(keys.sign)) await generateSigningKey({ secret: keys.sign, public: keys.signPublic });
  return keys;
}

async function isMissing(path: string): Promise<boolean> {
  return access(path).then(
    () => false,
    () => true,
  );
}
