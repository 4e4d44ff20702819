import { readdir } from 'node:fs/promises';
import { codeOf, isHoldfastError } from '../errors.ts';
import { findLeftOvers } from '../restore/database/targetDatabase.ts';
import type { ScratchRemnants } from '../sweep/run.ts';
import type { ScratchDatabase } from './scratch.ts';

/** Where the drills of one source try things out. */
export interface ScratchPlaces {
  readonly source: string;
  /** Unset: the source has no database. Throws InvalidConfiguration, e.g. where no server is named. */
  readonly database?: () => Promise<ScratchDatabase>;
  /** On this host. */
  readonly directory: string;
}

/**
 * What the drills of sources have in their scratch places now; whether one runs is for the caller to know. A server that
 * cannot be asked is a problem of that source and no other. Changes nothing.
 */
export async function findDrillRemnants(places: readonly ScratchPlaces[]): Promise<ScratchRemnants> {
  const remnants: ScratchRemnants['remnants'][number][] = [];
  const problems: string[] = [];
  for (const { source, database, directory } of places) {
    const databases: string[] = [];
    try {
      if (database) databases.push(...(await leftOversOf(await database())));
    } catch (error) {
      // Where drills have no server they leave nothing.
      if (!isHoldfastError(error)) throw error;
      if (error.type !== 'InvalidConfiguration') problems.push(`drills of ${source}: ${error.message}`);
    }
    const directories = (await exists(directory)) ? [directory] : [];
    if (databases.length + directories.length > 0) remnants.push({ source, databases, directories });
  }
  return { remnants, problems };
}

function leftOversOf({ name: target, ...scratch }: ScratchDatabase): Promise<string[]> {
  return findLeftOvers({ ...scratch, target });
}

async function exists(directory: string): Promise<boolean> {
  try {
    await readdir(directory);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}
