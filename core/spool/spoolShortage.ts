import { formatBytes } from '../format.ts';
import { spoolFreeBytes, type Spool } from './spool.ts';

/** Below this no backup has room to begin. */
const LEAST_FREE_BYTES = 64 * 2 ** 20;

/**
 * That a spool has no room for a backup whose parts are about so many bytes as they are stored, in words; undefined where
 * it has.
 */
export async function spoolShortage(spool: Spool, storedBytes: number): Promise<string | undefined> {
  const free = await spoolFreeBytes(spool);
  const needed = Math.max(LEAST_FREE_BYTES, Math.min(spool.limit, storedBytes));
  if (free >= needed) return undefined;
  return `The spool at ${spool.path} has ${formatBytes(free)} free; a backup needs about ${formatBytes(needed)}`;
}
