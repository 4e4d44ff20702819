import { randomBytes } from 'node:crypto';
import type { SealContext } from './context.ts';
import type { OpeningKey, SealingKey } from './keys.ts';
import { HoldfastError } from '../errors.ts';
import { seal } from './seal.ts';
import { unseal } from './unseal.ts';

/**
 * Proves that what is sealed for `sealing` opens with `opening`: seals a random message and opens it again.
 * Rejects with KeyMissing when the two are no pair, or the key cannot seal or open.
 */
export async function proveKey(sealing: SealingKey, opening: OpeningKey): Promise<void> {
  const message = randomBytes(1024);
  const context: SealContext = { backup: 'proof', part: 'proof', source: 'proof' };
  const sealed = seal(once(message), { compression: { type: 'zstd', level: 1 }, recipients: [sealing], context });
  const opened = unseal(sealed.ciphertext, { compression: 'zstd', keys: [opening], context });
  const chunks: Buffer[] = [];
  for await (const chunk of opened.plaintext) chunks.push(chunk);
  if (!Buffer.concat(chunks).equals(message)) {
    throw new HoldfastError('KeyMissing', `The key ${sealing.id} did not give back what was sealed with it.`);
  }
}

async function* once(message: Buffer): AsyncGenerator<Buffer> {
  yield message;
}
