import { Readable } from 'node:stream';
import { mapInOrder } from '../seal/inOrder.ts';
import type { Backend, GetOptions } from './backend.ts';

const RANGE_BYTES = 4 * 2 ** 20;
const RANGES_AT_ONCE = 4;

/**
 * The same backend, reading large objects in several ranges at once: one connection to a distant storage carries less
 * than a restore can take. Costs 16 MiB for each object that is being read. A local directory is handed back as it is.
 */
export function readingAhead(backend: Backend): Backend {
  if (backend.type === 'local') return backend;
  return { ...backend, get: (key, options) => getAhead(backend, key, options) };
}

async function getAhead(backend: Backend, key: string, options: GetOptions = {}): Promise<Readable> {
  const { signal, range } = options;
  const bytes = range ? 0 : ((await backend.head(key, signal))?.bytes ?? 0);
  if (bytes <= RANGE_BYTES) return backend.get(key, options);
  const read = (start: number) => readRange(backend, key, start, Math.min(start + RANGE_BYTES, bytes), signal);
  return Readable.from(mapInOrder(startsOf(bytes), RANGES_AT_ONCE, read), { objectMode: false, highWaterMark: 1 });
}

async function* startsOf(bytes: number): AsyncGenerator<number> {
  for (let start = 0; start < bytes; start += RANGE_BYTES) yield start;
}

async function readRange(
  backend: Backend,
  key: string,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of await backend.get(key, { range: { start, end }, ...(signal && { signal }) }))
    chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
