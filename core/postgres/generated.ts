import { Readable } from 'node:stream';
import type { PartStream } from '../backup/part.ts';

/** A part whose text is made here. It is good when the generator came to its end and all of it was handed out. */
export function generatedStream(
  text: (signal: AbortSignal) => AsyncIterable<string | Buffer>,
  signal: AbortSignal,
): PartStream {
  const { promise, resolve, reject } = Promise.withResolvers<object>();
  async function* toTheEnd() {
    try {
      for await (const piece of text(signal)) {
        signal.throwIfAborted();
        yield typeof piece === 'string' ? Buffer.from(piece) : piece;
      }
    } catch (error) {
      reject(signal.aborted ? signal.reason : error);
      throw error;
    }
  }
  const plaintext = Readable.from(toTheEnd(), { objectMode: false });
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
