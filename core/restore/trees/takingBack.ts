import { rename, rmdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import { codeOf } from '../../errors.ts';
import { readJournal, type Journal, type Move } from './moveJournal.ts';
import { doing, hasLinked, inTheWay, isDirectory, moveAcross, shellQuoted, syncAround, vanished } from './moving.ts';
import { identityOf, identityWithin, within, withMove, type MoveAt } from './pinnedMoves.ts';
import { withStaging, type OpenStaging } from './stagingDirectory.ts';
import { nameBeside } from './treeTargets.ts';
import type { TakenBackTree, TreePlace } from './trees.ts';

/**
 * Where what was in place goes when it is taken back: beside what it replaced, for an application may have written into
 * it, or into the staging directory, which is removed.
 */
export type TakenTo = 'beside' | 'staging';

/** Under a name of its own (`<path>_restored_<id>`), or where nothing was, no application looks for anything. */
export function takenTo({ mode }: TreePlace): TakenTo {
  return mode === 'in-place' ? 'beside' : 'staging';
}

/**
 * Puts back what was there before the moves of a journal, and ends the journal. Killed in the middle, it goes on when it
 * is called again.
 */
export async function takeBack(place: TreePlace, journal: Journal, staging: OpenStaging): Promise<void> {
  const undone: Move[] = [];
  for (const move of journal.moves.toReversed()) {
    const put = await withMove(staging, move, place, (at) => undo(move, at, takenTo(place))).then(
      () => true,
      (error: unknown) => wasPut(move, staging, error),
    );
    if (put) undone.push(move);
  }
  // One that somebody has put something into meanwhile stays.
  for (const directory of journal.made.toReversed())
    await within(staging, path.dirname(directory), (at) => rmdir(path.join(at, path.basename(directory)))).catch(
      () => undefined,
    );
  await syncAround(undone, staging);
  // Who asks again, because the answer was lost, finds it there. On a full disk a record could not be written.
  await rename(staging.own.moves, staging.own.takenBack);
}

/** What was set aside by a `takeBack` of this restore, whose staging directory is still there. */
export async function describeTakenBack(place: TreePlace): Promise<TakenBackTree> {
  const setAsideAs = await withStaging(place, async (staging) => {
    const journal = await readJournal(place, 'takenBack');
    return staging && journal ? keptBeside(place, journal, staging) : [];
  });
  return {
    tree: place.tree,
    setAsideAs,
    drop: setAsideAs.map((name) => `rm -rf --one-file-system -- ${shellQuoted(name)}`),
  };
}

/** Nothing stood under these names when the journal was begun. */
async function keptBeside(place: TreePlace, { moves }: Journal, staging: OpenStaging): Promise<string[]> {
  const kept: string[] = [];
  for (const { live } of moves)
    for (const what of ['undone', 'meanwhile'] as const) {
      const name = nameBeside(live, what, place);
      // What cannot be reached by its name any more is not told by it.
      const found = await identityWithin(staging, name).catch(() => null);
      if (found !== null) kept.push(name);
    }
  return kept;
}

/** False where the directory to put it into was never made, or cannot be reached any more, and nothing was put there. */
async function wasPut({ before, staged, after }: Move, staging: OpenStaging, error: unknown): Promise<false> {
  if (before !== null) throw error;
  if (codeOf(error) !== 'ENOENT' && (await identityWithin(staging, staged)) !== after) throw error;
  return false;
}

/** Takes one move back, by its handles. Does nothing where it is taken back already. */
export async function undo(move: Move, at: MoveAt, to: TakenTo): Promise<void> {
  const { live, keptAs, before, after } = move;
  const found = await identityOf(at.live);
  const kept = await identityOf(at.keptAs);
  if (before !== null && found === before) {
    if (kept === before) await doing(keptAs, () => unlink(at.keptAs));
    return;
  }
  if (before !== null && kept !== before) throw vanished(keptAs);
  if (found === after) await takeAway(move, at, to);
  else if (found !== null && before !== null) {
    // Whoever writes a file anew under its name has put another one there.
    const free = to === 'beside' && (await identityOf(at.undone)) === null;
    await doing(live, () => rename(at.live, free ? at.undone : at.meanwhile));
  }
  if (before !== null) await doing(live, () => rename(at.keptAs, at.live));
}

async function takeAway({ live, before, after }: Move, at: MoveAt, to: TakenTo): Promise<void> {
  const away = to === 'beside' ? at.undone : at.staged;
  const there = await identityOf(away);
  const single = before !== null && !(await isDirectory(at.live)) && !(await isDirectory(at.keptAs));
  // A file keeps its name until the other one takes it.
  if (single && (there === after || (await hasLinked(at.live, away)))) return;
  if (to === 'beside' && there !== null) throw inTheWay(path.join(path.dirname(live), path.basename(away)));
  await doing(live, () => moveAcross(at.live, away));
}
