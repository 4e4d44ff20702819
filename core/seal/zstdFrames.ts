import type { ByteReader } from './byteReader.ts';

/** One whole zstd frame, and how many bytes it says it becomes, where it says so. */
export interface ZstdFrame {
  readonly bytes: Buffer;
  /** What `bytes` lies in. */
  readonly room: Buffer;
  readonly originalBytes: number | undefined;
}

/** Magic number, descriptor, window, dictionary id, content size at their longest. */
const MAXIMUM_HEADER_BYTES = 4 + 1 + 1 + 4 + 8;
const MAGIC = 0xfd2fb528;
/** An RLE block is one byte long, whatever it becomes. */
const RLE = 1;
const RESERVED = 3;

/**
 * Cuts the next frame out of a stream of concatenated zstd frames (RFC 8878, section 3.1.1); undefined at the end of the stream.
 * Needed because Node's zstd stream stops without an error after the first frame and drops what follows in the chunk.
 * The frame is put into what `takeRoom` gives for a frame of so many original bytes, where the frame says how many.
 * Throws an Error for what is no frame, a cut one, or one that has no room there.
 */
export async function readZstdFrame(
  reader: ByteReader,
  takeRoom: (originalBytes: number | undefined) => Buffer,
): Promise<ZstdFrame | undefined> {
  if (await reader.atEnd()) return undefined;
  let room: Buffer = Buffer.alloc(MAXIMUM_HEADER_BYTES);
  let length = 0;
  const moveTo = (next: Buffer) => {
    room.copy(next, 0, 0, length);
    room = next;
  };
  const take = async (bytes: number): Promise<Buffer> => {
    // One that its writer cut into very many blocks can be larger than what it becomes.
    if (length + bytes > room.length) moveTo(takeRoom(undefined));
    if (length + bytes > room.length) throw new Error('a compression frame is longer than a frame can be');
    const piece = room.subarray(length, length + bytes);
    if (!(await reader.readInto(piece))) throw new Error('a compression frame is cut');
    length += bytes;
    return piece;
  };

  if ((await take(4)).readUInt32LE() !== MAGIC) throw new Error('what follows is no compression frame');
  const { hasChecksum, originalBytes } = await readFrameHeader(take);
  if (!hasChecksum) throw new Error('a compression frame has no checksum');
  moveTo(takeRoom(originalBytes));
  for (let last = false; !last;) {
    const block = (await take(3)).readUIntLE(0, 3);
    last = (block & 1) === 1;
    const type = (block >>> 1) & 3;
    if (type === RESERVED) throw new Error('a compression block is malformed');
    await take(type === RLE ? 1 : block >>> 3);
  }
  await take(4);
  return { bytes: room.subarray(0, length), room, originalBytes };
}

/** The frame header's descriptor says which fields follow: window, dictionary id, content size (3.1.1.1). */
async function readFrameHeader(take: (bytes: number) => Promise<Buffer>) {
  const descriptor = (await take(1)).readUInt8();
  const singleSegment = (descriptor & 0x20) !== 0;
  if (!singleSegment) await take(1);
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  if (dictionaryBytes > 0) await take(dictionaryBytes);
  const sizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6] ?? 0;
  const originalBytes = sizeBytes === 0 ? undefined : contentSize(await take(sizeBytes));
  return { hasChecksum: (descriptor & 4) !== 0, originalBytes };
}

function contentSize(field: Buffer): number {
  switch (field.length) {
    case 1:
      return field.readUInt8();
    case 2:
      return field.readUInt16LE() + 256;
    case 4:
      return field.readUInt32LE();
    default:
      return Number(field.readBigUInt64LE());
  }
}
