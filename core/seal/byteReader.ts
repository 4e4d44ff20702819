/**
 * Reads a stream of chunks by exact lengths. A chunk is not looked at any more once the next one was asked for, so its
 * source may use its memory again; what is handed out is good until the next call only, unless it was read into a
 * buffer of the caller's.
 */
export interface ByteReader {
  /** The next `length` bytes, or undefined when the stream ends before them. */
  read(length: number): Promise<Buffer | undefined>;
  /** Fills all of `target` with the next bytes; false when the stream ends before. */
  readInto(target: Buffer): Promise<boolean>;
  /** The next bytes, at least one and at most `length`, as they come; undefined at the end of the stream. */
  readSome(length: number): Promise<Buffer | undefined>;
  /** True when the stream has no byte left. */
  atEnd(): Promise<boolean>;
  /** Puts bytes back to be read next. */
  unread(bytes: Buffer): void;
}

export function byteReader(source: AsyncIterator<Uint8Array>): ByteReader {
  const waiting: Buffer[] = [];
  const state = { bytes: 0 };

  /** Pulls chunks until `length` bytes wait; false when the stream ends before. */
  async function fill(length: number): Promise<boolean> {
    while (state.bytes < length) {
      keepWaiting();
      const item = await source.next();
      if (item.done === true) return false;
      const { buffer, byteOffset, byteLength } = item.value;
      if (byteLength > 0) waiting.push(Buffer.from(buffer, byteOffset, byteLength));
      state.bytes += byteLength;
    }
    return true;
  }

  /** What waits becomes our own: the chunk it belongs to is about to be given back. */
  function keepWaiting(): void {
    if (waiting.length > 0) waiting.splice(0, waiting.length, Buffer.concat(waiting));
  }

  /** At most `length` of the bytes that wait. There must be some. */
  function take(length: number): Buffer {
    const first = waiting.shift() ?? Buffer.alloc(0);
    state.bytes -= first.length;
    unread(first.subarray(length));
    return first.subarray(0, length);
  }

  function unread(bytes: Buffer): void {
    if (bytes.length === 0) return;
    waiting.unshift(bytes);
    state.bytes += bytes.length;
  }

  return {
    unread,
    atEnd: async () => !(await fill(1)),
    readSome: async (length) => ((await fill(1)) ? take(length) : undefined),
    read: async (length) => {
      if (!(await fill(length))) return undefined;
      if (length === 0) return Buffer.alloc(0);
      const pieces = [take(length)];
      let bytes = pieces[0]?.length ?? 0;
      while (bytes < length) {
        const piece = take(length - bytes);
        bytes += piece.length;
        pieces.push(piece);
      }
      return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces, length);
    },
    readInto: async (target) => {
      for (let filled = 0; filled < target.length;) {
        if (!(await fill(1))) return false;
        const piece = take(target.length - filled);
        target.set(piece, filled);
        filled += piece.length;
      }
      return true;
    },
  };
}
