/**
 * Maps items side by side, at most `limit` at once, and hands the results out in the items' order.
 *
 * It reads ahead: the source is read while the consumer is busy with earlier results, so that neither waits for the
 * other. Items are taken from the source no faster than results are consumed, `limit` of them ahead.
 * A failure of source or map surfaces at its place in the order. When the consumer stops early the source is told to,
 * and nothing is left unhandled.
 */
export async function* mapInOrder<In, Out>(
  source: AsyncIterable<In>,
  limit: number,
  map: (item: In) => Promise<Out>,
): AsyncGenerator<Out> {
  const results: Promise<IteratorResult<Out, undefined>>[] = [];
  const iterator = source[Symbol.asyncIterator]();
  let ended = false;

  // Reads follow one another even though they are asked for ahead: a source is not expected to serve two at once.
  let lastRead: Promise<unknown> = Promise.resolve();
  const readNext = () => {
    const read = lastRead.then(async () => (ended ? undefined : await iterator.next()));
    const result = read.then(async (item): Promise<IteratorResult<Out, undefined>> => {
      if (item === undefined || item.done === true) {
        ended = true;
        return { done: true, value: undefined };
      }
      return { done: false, value: await map(item.value) };
    });
    lastRead = read.catch(() => {
      ended = true;
    });
    // It is awaited in its turn; until then a failure is not a forgotten one.
    result.catch(() => undefined);
    results.push(result);
  };

  try {
    for (let ahead = 0; ahead < limit; ahead++) readNext();
    for (;;) {
      const result = await results.shift();
      if (result === undefined || result.done === true) return;
      readNext();
      yield result.value;
    }
  } finally {
    const reading = !ended;
    ended = true;
    // A read under way ends when the source does; waiting for it here could be for ever.
    if (reading) iterator.return?.().catch(() => undefined);
  }
}
