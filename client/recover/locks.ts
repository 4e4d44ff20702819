import { createHash } from 'node:crypto';
import path from 'node:path';
import { withDirectoryLock } from '../../core/process/directoryLock.ts';
import { exists } from '../../core/restore/trees/stagingDirectory.ts';
import { withTargetLock } from '../../core/restore/database/targetLock.ts';
import type { TreePlace } from '../../core/restore/trees/trees.ts';
import type { RecoveryMeans } from './means.ts';
import type { DatabaseWish } from './wish.ts';

/**
 * Does the work while nobody else recovers into the same database and directories: two at once would each take the other's
 * unfinished work for what a killed one left. Throws RefusedForSafety where somebody does.
 */
export async function withLocks<Result>(
  database: DatabaseWish | undefined,
  places: readonly TreePlace[],
  means: RecoveryMeans,
  work: (means: RecoveryMeans) => Promise<Result>,
): Promise<Result> {
  const withTrees = (signal: AbortSignal) => withTreeLocks(places, { ...means, signal }, work);
  return database ? withTargetLock(database.server, database.target, means.signal, withTrees) : withTrees(means.signal);
}

async function withTreeLocks<Result>(
  [place, ...others]: readonly TreePlace[],
  means: RecoveryMeans,
  work: (means: RecoveryMeans) => Promise<Result>,
): Promise<Result> {
  if (place === undefined) return work(means);
  const next = (signal: AbortSignal) => withTreeLocks(others, { ...means, signal }, work);
  const { signal, warn } = means;
  const above = path.dirname(place.path);
  // Nothing can be made there; the plan says so.
  if (!(await exists(above))) return next(signal);
  const hash = createHash('sha256').update(path.basename(place.path)).digest('hex').slice(0, 16);
  const lock = path.join(above, `.holdfast-recovering-${hash}`);
  return withDirectoryLock({ directory: lock, what: `recovery into ${place.path}`, signal, warn }, next);
}
