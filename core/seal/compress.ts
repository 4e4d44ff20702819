import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { constants, gzip, zstdCompress } from 'node:zlib';
import type { Compression } from '../config/schema.ts';
import { mapInOrder } from './inOrder.ts';

/** The most original bytes that one compression frame may hold, whoever wrote it. Part of the repository format. */
export const MAXIMUM_FRAME_BYTES = 8 * 2 ** 20;

/**
 * Original bytes that this writer puts into a frame; only the last of a part is shorter. Frames of 2, 4 and 8 MiB
 * compress equally well and fast at levels 1 to 3, and a part holds about eight of them in memory, several parts
 * that many each.
 */
const FRAME_BYTES = 2 * 2 ** 20;

/** Frames being worked on at once in libuv's pool: more than there are processors only take memory. */
export const FRAMES_IN_FLIGHT = Math.min(3, Math.max(2, availableParallelism()));

const compressZstd = promisify(zstdCompress);
const compressGzip = promisify(gzip);

/** Compresses a stream into independent frames (RFC 8878) or members (RFC 1952), one after the other. */
export async function* compress(
  plaintext: AsyncIterable<Uint8Array>,
  compression: Compression,
  framesInFlight = FRAMES_IN_FLIGHT,
): AsyncGenerator<Buffer> {
  const spare: Buffer[] = [];
  const frames = cutFrames(plaintext, () => spare.pop() ?? Buffer.allocUnsafeSlow(FRAME_BYTES));
  // Neighbours compress alike: room for what the last frame became, and a little more, is mostly one chunk and not
  // several times too much. What is allocated here decides how often the garbage collector runs.
  let lastRatio = 1;
  yield* mapInOrder(frames, framesInFlight, async ({ buffer, bytes }) => {
    const compressed = await compressFrame(buffer.subarray(0, bytes), compression, lastRatio);
    lastRatio = bytes === 0 ? 1 : compressed.length / bytes;
    spare.push(buffer);
    return compressed;
  });
}

interface Frame {
  readonly buffer: Buffer;
  readonly bytes: number;
}

/** Fills buffers of a whole frame. An empty stream becomes one empty frame, so that every part is a valid file. */
async function* cutFrames(plaintext: AsyncIterable<Uint8Array>, takeBuffer: () => Buffer): AsyncGenerator<Frame> {
  let buffer = takeBuffer();
  let bytes = 0;
  let frames = 0;
  for await (const chunk of plaintext) {
    for (let offset = 0; offset < chunk.length;) {
      if (bytes === FRAME_BYTES) {
        yield { buffer, bytes };
        frames++;
        buffer = takeBuffer();
        bytes = 0;
      }
      const taken = Math.min(FRAME_BYTES - bytes, chunk.length - offset);
      buffer.set(chunk.subarray(offset, offset + taken), bytes);
      bytes += taken;
      offset += taken;
    }
  }
  if (bytes > 0 || frames === 0) yield { buffer, bytes };
}

function compressFrame(frame: Buffer, compression: Compression, expectedRatio: number): Promise<Buffer> {
  // One chunk for the whole output: every chunk is a round trip between the pool and the main thread.
  const chunkSize = Math.max(
    64,
    Math.min(worstCase(frame.length), Math.ceil(frame.length * expectedRatio * 1.2) + 4096),
  );
  if (compression.type === 'gzip') return compressGzip(frame, { level: compression.level, chunkSize });
  return compressZstd(frame, {
    chunkSize,
    // Writes the size into the frame's header, so that a reader can refuse a bomb before it opens it.
    pledgedSrcSize: frame.length,
    params: {
      [constants.ZSTD_c_compressionLevel]: compression.level,
      // Off by default in the library, and without it most bit flips pass unseen.
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
}

/** Larger than what either format makes of bytes that cannot be compressed (zstd.h's ZSTD_COMPRESSBOUND, zlib's compressBound). */
function worstCase(bytes: number): number {
  return bytes + (bytes >>> 8) + 1024;
}
