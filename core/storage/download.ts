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
      chunks.next().then(
        ({ done, value }) => this.push(done ? null : value),
        (error: unknown) => this.destroy(error as Error),
      );
    },
    destroy(error, callback) {
      signal?.removeEventListener('abort', onAbort);
      controller.abort();
      void end(chunks, release, error).then(callback, callback);
    },
  });
  const onAbort = () => stream.destroy(signal?.reason as Error);
  signal?.addEventListener('abort', onAbort, { once: true });
  return stream;
}

/** What the producer says of being stopped interests nobody any more; a failed release does. */
async function end(
  chunks: AsyncGenerator<Buffer, void, undefined>,
  release: ChunkSource['release'],
  error: Error | null,
): Promise<Error | null> {
  await chunks.return().catch(() => undefined);
  await release();
  return error;
}
