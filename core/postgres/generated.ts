import { Readable } from 'node:stream';
import type { PartStream } from '../backup/part.ts';

/** A part whose text is made here. It is good when the generator came to its end and all of it was handed out. */
export function generatedStream(
  text: (signal: AbortSignal) => AsyncIterable<string | Buffer>,
  signal: AbortSignal,
): PartStream & { readonly plaintext: Readable } {
  const { promise, resolve, reject } = Promise.withResolvers<object>();
  async function* toTheEnd() {
    try {
      for await (const piece of untilAborted(text(signal), signal))
        yield typeof piece === 'string' ? Buffer.from(piece) : piece;
    } catch (error) {
      reject(signal.aborted ? signal.reason : error);
      throw error;
    }
  }
  const plaintext = Readable.from(toTheEnd(), { objectMode: false });
  // Whoever awaits `finished` learns of errors; the stream alone may have no reader yet.
  plaintext.on('error', () => undefined);
  plaintext.once('end', () => resolve({}));
  // A reader that stops early, or an abort, ends the stream without the generator noticing; the first verdict counts.
  plaintext.once('close', () =>
    reject(signal.aborted ? signal.reason : new Error('the stream was not read to its end')),
  );
  const abort = () => plaintext.destroy(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  promise.catch(() => undefined);
  return { plaintext, finished: promise };
}

/**
 * Throws the signal's reason at once, and not when the next piece comes: it may be awaited from a server that says
 * nothing any more.
 */
async function* untilAborted<Piece>(pieces: AsyncIterable<Piece>, signal: AbortSignal): AsyncGenerator<Piece> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  aborted.catch(() => undefined);
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  const iterator = pieces[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    // Not awaited, because it waits for the piece that may never come.
    iterator.return?.().catch(() => undefined);
  }
}
