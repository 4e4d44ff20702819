/**
 * The same items for a consumer that may stop early without ending the source, so that somebody else can read on from
 * there. An error of the source is kept in `failure`, because a consumer in between may hide it behind its own.
 */
export interface LeftOpen<Item> extends AsyncIterable<Item> {
  failure?: { readonly error: unknown };
}

export function leftOpen<Item>(items: AsyncIterator<Item>): LeftOpen<Item> {
  const source: LeftOpen<Item> = {
    // Without a `return`, nobody downstream can close what is read here.
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        try {
          return await items.next();
        } catch (error) {
          source.failure = { error };
          throw error;
        }
      },
    }),
  };
  return source;
}

/** Reads what is left of the items, for the sake of what happens while they pass. */
export async function drain(items: AsyncIterator<unknown>): Promise<void> {
  for (;;) {
    const { done } = await items.next();
    if (done) return;
  }
}

/** Every item, in memory. */
export async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}
