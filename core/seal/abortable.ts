/**
 * The same items, but a wait for the next one ends with the signal's reason when `signal` aborts. The source itself is
 * told to stop and not waited for: a pipe that hangs is the very thing to get away from.
 */
export async function* abortable<T>(source: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
  if (signal === undefined) {
    yield* source;
    return;
  }
  const iterator = source[Symbol.asyncIterator]();
  let endWait: ((reason: unknown) => void) | undefined;
  const onAbort = () => endWait?.(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  let finished = false;
  try {
    for (;;) {
      signal.throwIfAborted();
      const item = await new Promise<IteratorResult<T>>((resolve, reject) => {
        endWait = reject;
        iterator.next().then(resolve, reject);
      }).catch((error: unknown) => {
        finished = !signal.aborted;
        throw error;
      });
      if (item.done === true) {
        finished = true;
        return;
      }
      yield item.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    if (!finished) iterator.return?.().catch(() => undefined);
  }
}
