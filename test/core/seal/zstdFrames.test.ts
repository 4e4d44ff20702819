import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { constants, zstdCompressSync } from 'node:zlib';
import { decompress } from '../../../core/seal/decompress.ts';

/** A frame (RFC 8878) of raw blocks of one byte each: four bytes for every one. The checksum is taken from the library. */
function frameOfTinyBlocks(original: Buffer): Buffer {
  const params = { [constants.ZSTD_c_checksumFlag]: 1 };
  const checksum = zstdCompressSync(original, { params }).subarray(-4);
  // Single segment, content size in four bytes, checksum.
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa4, 0, 0, 0, 0]);
  header.writeUInt32LE(original.length, 5);
  const blocks = Buffer.alloc(original.length * 4);
  for (const [index, byte] of original.entries()) {
    blocks.writeUIntLE((1 << 3) | (index === original.length - 1 ? 1 : 0), index * 4, 3);
    blocks.writeUInt8(byte, index * 4 + 3);
  }
  return Buffer.concat([header, blocks, checksum]);
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

test('a frame that is larger than what it becomes is read, and so is what follows it', async () => {
  const originals = [randomBytes(40_000), randomBytes(10), randomBytes(50_000)];
  const frames = Buffer.concat(originals.map(frameOfTinyBlocks));
  const opened: Buffer[] = [];
  for await (const chunk of decompress(once(frames), 'zstd')) opened.push(chunk);
  assert.ok(Buffer.concat(opened).equals(Buffer.concat(originals)));
});
