import { Readable } from 'node:stream';

export interface ChunkSource {
  /** Its signal aborts when the stream is destroyed, so that what lies behind a chunk that never comes is let go of. */
  readonly produce: (signal: AbortSignal) => AsyncGenerator<Buffer, void, undefined>;
  /** Called once when the stream is over, however it ended and even if nothing was ever read. */
  readonly release: () => Promise<void> | void;
}

/** A stream over chunks that come asynchronously. An abort of `signal` ends it with that signal's reason. */
export function readableOf({ produce, release }: ChunkSource, signal?: AbortSignal): Readable {
  const controller = new AbortController();
  const chunks = produce(controller.signal);
  const stream = new Readable({
    highWaterMark: 2 ** 20,
    read() {
      void pull(this, chunks);
    },
    destroy(error, callback) {
      signal?.removeEventListener('abort', onAbort);
      controller.abort();
      void end(chunks, release, error, callback);
    },
  });
  // An abort between two reads, or before the first, waits for the next reader rather than ending the process.
  stream.on('error', () => undefined);
  const onAbort = () => stream.destroy(signal?.reason as Error);
  signal?.addEventListener('abort', onAbort, { once: true });
  return stream;
}

async function pull(stream: Readable, chunks: AsyncGenerator<Buffer, void, undefined>): Promise<void> {
  try {
    const { done, value } = await chunks.next();
    stream.push(done ? null : value);
  } catch (error) {
    stream.destroy(error as Error);
  }
}

/** What the producer says of being stopped interests nobody any more; a failed release does. */
async function end(
  chunks: AsyncGenerator<Buffer, void, undefined>,
  release: ChunkSource['release'],
  error: Error | null,
  finish: (error: Error | null) => void,
): Promise<void> {
  let outcome = error;
  try {
    await chunks.return().catch(() => undefined);
    await release();
  } catch (failure) {
    outcome ??= failure as Error;
  }
  finish(outcome);
}
