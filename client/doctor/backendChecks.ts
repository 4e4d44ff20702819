import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import type { Backends } from '../../core/config/open.ts';
import type { Configuration } from '../../core/config/schema.ts';
import type { Backend, Capacity } from '../../core/storage/backend.ts';
import { formatBytes } from '../../core/format.ts';
import { failure, ok, warning, type Check, type Finding } from './finding.ts';

const FULL_SHARE = 0.8;
const LEAST_FREE_BYTES = 5 * 2 ** 30;

/** Can an object be written, read back and deleted on each backend, and is there room. */
export function backendChecks(configuration: Configuration, backends: Backends): Check[] {
  return Object.keys(configuration.backends).map((name) => ({
    subject: `backend ${name}`,
    run: async (signal) => {
      const backend = await backends.get(name);
      const probed = await probe(backend, signal);
      return [probed, ...room(await backend.capacity())];
    },
  }));
}

async function probe(backend: Backend, signal: AbortSignal): Promise<Omit<Finding, 'subject'>> {
  const key = `holdfast-probe/${randomBytes(8).toString('hex')}`;
  const body = randomBytes(1024);
  const startedAt = performance.now();
  await backend.put(key, body, { signal });
  try {
    const found = await buffer(await backend.get(key, { signal }));
    if (!found.equals(body)) return failure('what was written is not what is read', 'Do not use this storage.');
  } finally {
    // Without the signal: the probe must not stay behind when time is up.
    await backend.delete(key);
  }
  return ok(`written, read back and deleted in ${Math.round(performance.now() - startedAt)} ms`);
}

function room(capacity: Capacity | undefined): Omit<Finding, 'subject'>[] {
  if (!capacity) return [];
  const { freeBytes, totalBytes } = capacity;
  const text = `${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} free`;
  const tight = freeBytes < LEAST_FREE_BYTES || freeBytes < totalBytes * (1 - FULL_SHARE);
  return [tight ? warning(text, 'Make room before backups fail for lack of it.') : ok(text)];
}
