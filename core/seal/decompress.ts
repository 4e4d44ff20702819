import { once } from 'node:events';
import { promisify } from 'node:util';
import { createGunzip, zstdDecompress } from 'node:zlib';
import type { Compression } from '../config/schema.ts';
import { byteReader } from './byteReader.ts';
import { FRAMES_IN_FLIGHT, MAXIMUM_FRAME_BYTES } from './compress.ts';
import { mapInOrder } from './inOrder.ts';
import { readZstdFrame, type ZstdFrame } from './zstdFrames.ts';

const decompressZstd = promisify(zstdDecompress);

/** Bytes that cannot be compressed grow by 3 for every block of 128 KiB; this is more. */
const FRAME_OVERHEAD_BYTES = 2 ** 16;
/** More than the least chunk that zlib takes. */
const SPARE_BYTES = 64;

/**
 * Decompresses a stream of frames or members to its end, checking every checksum. Throws a plain Error for anything but
 * whole frames one after the other: a cut one, foreign bytes behind or between, a frame above the format's limit.
 */
export function decompress(compressed: AsyncIterable<Buffer>, type: Compression['type']): AsyncGenerator<Buffer> {
  return type === 'zstd' ? decompressFrames(compressed) : decompressMembers(compressed);
}

async function* decompressFrames(compressed: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  // Used again and again: fresh ones would cost a garbage collection every few frames.
  const spare: Buffer[] = [];
  const takeRoom = (originalBytes = MAXIMUM_FRAME_BYTES) => {
    const bytes = Math.min(originalBytes, MAXIMUM_FRAME_BYTES) + FRAME_OVERHEAD_BYTES;
    const room = spare.pop();
    return room !== undefined && room.length >= bytes ? room : Buffer.allocUnsafeSlow(bytes);
  };
  yield* mapInOrder(zstdFrames(compressed, takeRoom), FRAMES_IN_FLIGHT, async ({ bytes, originalBytes, room }) => {
    if (originalBytes !== undefined && originalBytes > MAXIMUM_FRAME_BYTES) {
      throw new Error('a compression frame claims more bytes than a frame may hold');
    }
    const original = await decompressZstd(bytes, {
      maxOutputLength: MAXIMUM_FRAME_BYTES,
      // The size is only claimed, so it sizes a buffer but is not believed. One that is filled to its last byte makes
      // zlib allocate a second one of the same size, to find nothing more to put there.
      chunkSize: (originalBytes ?? MAXIMUM_FRAME_BYTES) + SPARE_BYTES,
    });
    spare.push(room);
    return original;
  });
}

async function* zstdFrames(
  compressed: AsyncIterable<Buffer>,
  takeRoom: (originalBytes: number | undefined) => Buffer,
): AsyncGenerator<ZstdFrame> {
  const source = compressed[Symbol.asyncIterator]();
  try {
    const reader = byteReader(source);
    let frames = 0;
    for (;;) {
      const frame = await readZstdFrame(reader, takeRoom);
      if (frame === undefined) break;
      frames++;
      yield frame;
    }
    if (frames === 0) throw new Error('there is no compression frame at all');
  } finally {
    await source.return?.();
  }
}

/** Node's gunzip reads all members and finds a cut one, but ignores zeros behind the last. */
async function* decompressMembers(compressed: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: 2 ** 18 });
  const stop = new AbortController();
  let fed = 0;
  const feeding = (async () => {
    for await (const chunk of compressed) {
      fed += chunk.length;
      if (!gunzip.write(chunk)) await once(gunzip, 'drain', { signal: stop.signal });
    }
    gunzip.end();
  })();
  feeding.catch((error: Error) => gunzip.destroy(error));
  try {
    yield* gunzip;
    await feeding;
  } finally {
    // A consumer that left will never drain it.
    stop.abort();
  }
  if (gunzip.bytesWritten !== fed) throw new Error('foreign bytes follow the last member');
}
