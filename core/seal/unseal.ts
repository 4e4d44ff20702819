import type { Compression } from '../config/schema.ts';
import { isHoldfastError, messageOf } from '../errors.ts';
import { abortable } from './abortable.ts';
import type { SealContext } from './context.ts';
import { counted } from './counted.ts';
import { damaged } from './damaged.ts';
import { decompress } from './decompress.ts';
import { decrypt } from './decrypt.ts';
import type { OpeningKey } from './keys.ts';
import type { SealTotals } from './seal.ts';

export interface UnsealOptions {
  readonly compression: Compression['type'];
  /** Any one of the recipients is enough; others may be among them. */
  readonly keys: readonly OpeningKey[];
  /** What it must have been sealed as. */
  readonly context: SealContext;
  /** Original bytes by the manifest: one byte more or less is damage, and a bomb stops there. */
  readonly originalBytes?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Unsealed {
  /** Read it once. Only its regular end says that all of it was there and authentic. */
  readonly plaintext: AsyncIterable<Buffer>;
  /** How far it has come; final when `plaintext` has ended. */
  totals(): SealTotals;
}

/**
 * Opens what `seal` made, in constant memory. `plaintext` rejects with KeyMissing when no key fits, ObjectDamaged when
 * a byte was changed, cut or added or the part was sealed as another, and with what the ciphertext's own stream failed
 * with.
 */
export function unseal(ciphertext: AsyncIterable<Uint8Array>, options: UnsealOptions): Unsealed {
  const { context } = options;
  const stored = counted(remembered(abortable(ciphertext, options.signal)));
  const compressed = counted(decrypt(stored.stream, options.keys, context));
  const original = counted(decompress(compressed.stream, options.compression));

  async function* plaintext(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of original.stream) {
        refuseMore();
        yield chunk;
      }
    } catch (error) {
      if (isHoldfastError(error) || sourceFailures.has(error)) throw error;
      throw damaged(context, `its compressed content does not open: ${messageOf(error)}`, error);
    }
    if (options.originalBytes !== undefined && original.bytes() !== options.originalBytes) {
      throw damaged(context, `it opens to ${original.bytes()} bytes where ${options.originalBytes} were sealed`);
    }
  }

  function refuseMore() {
    if (options.originalBytes !== undefined && original.bytes() > options.originalBytes) {
      throw damaged(context, `it opens to more than the ${options.originalBytes} bytes that were sealed`);
    }
  }

  // The storage's errors and the signal's reason pass as they are: they say nothing about the bytes.
  const sourceFailures = new Set<unknown>();
  async function* remembered(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* source;
    } catch (error) {
      sourceFailures.add(error);
      throw error;
    }
  }

  return {
    plaintext: plaintext(),
    totals: () => ({
      originalBytes: original.bytes(),
      compressedBytes: compressed.bytes(),
      storedBytes: stored.bytes(),
    }),
  };
}
