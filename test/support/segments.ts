import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { Backend, SegmentHashes, Upload } from '../../core/storage/backend.ts';

/** Bytes that no two calls with other seeds share, cheap to make. */
export function patterned(bytes: number, seed: number): Buffer {
  const body = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4096) body.writeUInt32LE((at + seed * 2654435761) % 2 ** 32, at);
  if (bytes > 0) body[bytes - 1] = seed % 256;
  return body;
}

export function hashesOf(body: Buffer): SegmentHashes {
  return {
    sha256: createHash('sha256').update(body).digest('hex'),
    md5: createHash('md5').update(body).digest('hex'),
  };
}

export async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Sends a body as one upload; gives the upload before it is completed. */
export async function sendSegments(
  backend: Backend,
  key: string,
  body: Buffer,
  segmentSize: number,
): Promise<{ upload: Upload; segments: number }> {
  const upload = await backend.beginUpload(key, { segmentSize });
  const segments = Math.ceil(body.length / segmentSize);
  for (let number = 1; number <= segments; number += 1) {
    const segment = body.subarray((number - 1) * segmentSize, number * segmentSize);
    await upload.putSegment(number, segment, hashesOf(segment));
  }
  return { upload, segments };
}
