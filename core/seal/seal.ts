import type { Compression } from '../config/schema.ts';
import { abortable } from './abortable.ts';
import { compress } from './compress.ts';
import type { SealContext } from './context.ts';
import { counted } from './counted.ts';
import { encrypt } from './encrypt.ts';
import type { SealingKey } from './keys.ts';

export interface SealOptions {
  readonly compression: Compression;
  /** Each of them alone will open it. At least one. */
  readonly recipients: readonly SealingKey[];
  readonly context: SealContext;
  readonly signal?: AbortSignal | undefined;
  /** Compression frames worked on at once; fewer need less memory, about 8 MiB each. Default 3. */
  readonly framesInFlight?: number;
}

export interface Sealed {
  /** Read it once. Chunks come as the format makes them, from 16 bytes to 1 MiB. */
  readonly ciphertext: AsyncIterable<Buffer>;
  /** How far it has come; final when `ciphertext` has ended. */
  totals(): SealTotals;
}

export interface SealTotals {
  readonly originalBytes: number;
  readonly compressedBytes: number;
  readonly storedBytes: number;
}

/**
 * Compresses and encrypts a stream in constant memory, reading no faster than the ciphertext is taken.
 * Nothing is read before the ciphertext is. It ends with the plaintext's own error if that fails, and with the signal's
 * reason soon after an abort.
 */
export function seal(plaintext: AsyncIterable<Uint8Array>, options: SealOptions): Sealed {
  const original = counted(abortable(plaintext, options.signal));
  const compressed = counted(compress(original.stream, options.compression, options.framesInFlight));
  const stored = counted(encrypt(compressed.stream, options.recipients, options.context));
  return {
    ciphertext: stored.stream,
    totals: () => ({
      originalBytes: original.bytes(),
      compressedBytes: compressed.bytes(),
      storedBytes: stored.bytes(),
    }),
  };
}
