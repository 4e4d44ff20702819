import path from 'node:path';
import { codeOf, HoldfastError } from '../../errors.ts';
import { pinBelow } from '../../files/pinnedDirectory.ts';
import type { Move } from './moveJournal.ts';
import { lookAt, type OpenStaging } from './stagingDirectory.ts';
import { nameBeside } from './treeTargets.ts';
import type { TreePlace } from './trees.ts';

/*
 * Whoever owns a tree can put a symbolic link for a directory of it between a look and a rename, and root would take from
 * where it leads to, or put there. So everything that is moved is reached by the handles of the staging directory and of the
 * one that holds it, name by name and through no link.
 */

/**
 * Does something in a directory by its handle. Throws RefusedForSafety where a symbolic link is on the way to it, and the
 * system's ENOENT where it is not there.
 */
export async function within<Result>(
  staging: OpenStaging,
  directory: string,
  work: (at: string) => Promise<Result>,
): Promise<Result> {
  const own = path.relative(staging.named.directory, directory);
  const beside = path.relative(path.dirname(staging.named.directory), directory);
  const [top, below] = isBelow(own) ? [staging.pinned, own] : [staging.holder, beside];
  if (!isBelow(below)) throw throughLink(directory);
  const pinned = await pinBelow(top, below).catch((error: unknown) => {
    throw ['ELOOP', 'ENOTDIR'].includes(codeOf(error) ?? '') ? throughLink(directory, error) : error;
  });
  try {
    return await work(pinned.at);
  } finally {
    await pinned.close();
  }
}

function isBelow(relative: string): boolean {
  return relative !== '..' && !relative.startsWith('../');
}

function throughLink(directory: string, cause?: unknown): HoldfastError {
  return new HoldfastError('RefusedForSafety', `${directory} is a symbolic link or reached through one`, {
    advice: 'Find out who put it there. Restore with mode beside instead, and put the files in place by hand.',
    cause,
  });
}

/** What a move is about, by handles. */
export interface MoveAt {
  readonly live: string;
  readonly keptAs: string;
  readonly staged: string;
  readonly meanwhile: string;
  readonly undone: string;
}

/** Does something with what is to be moved. */
export function withMove<Result>(
  staging: OpenStaging,
  { live, keptAs, staged }: Pick<Move, 'live' | 'keptAs' | 'staged'>,
  place: TreePlace,
  work: (at: MoveAt) => Promise<Result>,
): Promise<Result> {
  return within(staging, path.dirname(live), (beside) => {
    const besides = (name: string) => path.join(beside, path.basename(name));
    return within(staging, path.dirname(staged), (from) =>
      work({
        live: besides(live),
        keptAs: besides(keptAs),
        staged: path.join(from, path.basename(staged)),
        meanwhile: besides(nameBeside(live, 'meanwhile', place)),
        undone: besides(nameBeside(live, 'undone', place)),
      }),
    );
  });
}

/**
 * Throws RefusedForSafety unless the directory that something was put into is the one that its name leads to: whoever may
 * rename it can have moved it away, and put another one there. `at`: the same by its handle.
 */
export async function assertWhereNamed(staging: OpenStaging, file: string, at: string): Promise<void> {
  const { holder, named } = staging;
  const reached = await within(staging, path.dirname(file), identityAt).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  });
  if (reached !== (await identityAt(path.dirname(at)))) throw movedAway(path.dirname(file));
  const top = path.dirname(named.directory);
  if ((await identityAt(top)) !== (await identityAt(holder.at))) throw movedAway(top);
}

function identityAt(directory: string): Promise<string | null> {
  return identityOf(`${directory}/.`);
}

function movedAway(directory: string): HoldfastError {
  return new HoldfastError('RefusedForSafety', `${directory} was moved away while something was put into it`, {
    advice: 'Find out who moved it, and see that nobody does while it is restored. What was put into it is taken back.',
  });
}

/** Which file it is, as device and inode; null where there is none. */
export async function identityOf(file: string): Promise<string | null> {
  const found = await lookAt(file);
  return found === undefined ? null : `${found.dev}:${found.ino}`;
}

/** The same, of a file whose directory may not be there. */
export async function identityWithin(staging: OpenStaging, file: string): Promise<string | null> {
  return within(staging, path.dirname(file), (at) => identityOf(path.join(at, path.basename(file)))).catch(
    (error: unknown) => {
      if (codeOf(error) === 'ENOENT') return null;
      throw error;
    },
  );
}
