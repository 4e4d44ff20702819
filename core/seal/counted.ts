/** The same stream, and how many bytes of it have been handed out. */
export function counted<Chunk extends Uint8Array>(source: AsyncIterable<Chunk>) {
  let bytes = 0;
  async function* count(): AsyncGenerator<Chunk> {
    for await (const chunk of source) {
      bytes += chunk.length;
      yield chunk;
    }
  }
  return { stream: count(), bytes: () => bytes };
}
