import { isHoldfastError } from '../errors.ts';
import type { DatabaseAccess } from '../postgres/access.ts';
import type { ScratchRemnants } from '../sweep/run.ts';
import { dropTreeLeftOvers } from './trees/placeTree.ts';
import { findTreeLeftOvers } from './trees/stagingDirectory.ts';
import { dropDeadTargets, findDeadTargets } from './database/deadTargets.ts';
import { scopeOf } from './database/targetMark.ts';
import type { TreeLeftOver } from './trees/trees.ts';

/** Where restores of one source make things. */
export interface RestorePlaces {
  readonly source: string;
  /** Of a restore that there is not, in the scope of all that there may be. */
  readonly mark: string;
  /** A maintenance connection. Unset: the source has no database. */
  readonly server?: () => Promise<DatabaseAccess>;
  /** Names of databases that are never dropped. */
  readonly spared: readonly string[];
  /** Paths of its file trees on this host. */
  readonly roots: readonly string[];
}

/**
 * What restores of sources have made and not finished; whether one runs is for the caller to know. A server that cannot be
 * asked is a problem of that source and no other. Changes nothing.
 */
export async function findRestoreRemnants(places: readonly RestorePlaces[]): Promise<ScratchRemnants> {
  const remnants: ScratchRemnants['remnants'][number][] = [];
  const problems: string[] = [];
  const kept: { folder: string; why: string }[] = [];
  for (const place of places) {
    const { source, mark, server, spared } = place;
    const databases: string[] = [];
    try {
      if (server) {
        const { dropped, left } = await findDeadTargets(await server(), mark, spared);
        databases.push(...dropped);
        kept.push(...left.map(({ name, why, advice }) => ({ folder: name, why: `${why}. ${advice}` })));
      }
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      problems.push(`restores of ${source}: ${error.message}`);
    }
    const directories = (await treesOf(place)).map(({ directory }) => directory);
    if (databases.length + directories.length > 0) remnants.push({ source, databases, directories });
  }
  return { remnants, kept, problems };
}

/**
 * Drops the databases and puts the file trees back to where they were: for whoever knows that no restore of the source
 * runs. Throws what connecting throws, and RestoreFailed where a tree cannot be put back.
 */
export async function removeRestoreRemnants(place: RestorePlaces): Promise<void> {
  if (place.server) await dropDeadTargets(await place.server(), place.mark, place.spared);
  for (const leftOver of await treesOf(place)) await dropTreeLeftOvers(leftOver.place);
}

async function treesOf({ mark, roots }: RestorePlaces): Promise<TreeLeftOver[]> {
  const found = await Promise.all(roots.map(findTreeLeftOvers));
  return found.flat().filter(({ place }) => place.mark.startsWith(`${scopeOf(mark)}/`));
}
