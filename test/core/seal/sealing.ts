import { generateKeyPairSync, randomBytes } from 'node:crypto';
import {
  loadAesKey,
  loadRsaPrivateKey,
  sealingHalf,
  type OpeningKey,
  type SealingKey,
} from '../../../core/seal/keys.ts';
import type { SealContext } from '../../../core/seal/context.ts';
import { seal, type SealOptions } from '../../../core/seal/seal.ts';
import { unseal } from '../../../core/seal/unseal.ts';

/** What the sealing tests share: fresh keys, streams from bytes, and both directions in one call. */

export const CONTEXT: SealContext = { backup: '20261120T020000Z-7f3k9q', part: 'database', source: 'shop' };

export function newAesKey() {
  return loadAesKey(randomBytes(32).toString('base64'), 'keys.test');
}

export function newRsaKey(bits = 3072): { opening: OpeningKey; sealing: SealingKey } {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  const opening = loadRsaPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 'keys.test');
  return { opening, sealing: sealingHalf(opening) };
}

/** Bytes in chunks of a pipe's size. */
export async function* chunked(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += size) yield bytes.subarray(offset, offset + size);
}

export async function gather(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export async function sealBytes(
  bytes: Uint8Array,
  options: Partial<SealOptions> & Pick<SealOptions, 'recipients'>,
): Promise<Buffer> {
  const sealed = seal(chunked(bytes), { compression: { type: 'zstd', level: 1 }, context: CONTEXT, ...options });
  return gather(sealed.ciphertext);
}

export async function openBytes(
  ciphertext: Uint8Array,
  keys: readonly OpeningKey[],
  options: Partial<Parameters<typeof unseal>[1]> = {},
): Promise<Buffer> {
  const opened = unseal(chunked(ciphertext), { compression: 'zstd', context: CONTEXT, keys, ...options });
  return gather(opened.plaintext);
}

/** A small generator with a seed (mulberry32), so that a failing case can be run again. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
