import { mkdir, rename, stat } from 'node:fs/promises';
import path from 'node:path';
import { codeOf, HoldfastError, isHoldfastError } from '../../errors.ts';
import { openDirectory } from '../../files/pinnedDirectory.ts';
import { readProcess } from '../../process/childProcess.ts';
import { readJournal, type Journal, type Move } from './moveJournal.ts';
import { doing, hasLinked, inTheWay, isDirectory, moveAcross, shellQuoted, syncAround, vanished } from './moving.ts';
import { assertWhereNamed, identityOf, identityWithin, within, withMove, type MoveAt } from './pinnedMoves.ts';
import {
  discardStaging,
  finishedTry,
  lookAt,
  rootOf,
  withStaging,
  writeRecord,
  type OpenStaging,
} from './stagingDirectory.ts';
import { describeTakenBack, takeBack, takenTo, undo } from './takingBack.ts';
import { missingAbove, nameBeside, targetsOf, type TreeTarget } from './treeTargets.ts';
import type { PlacedTree, TakenBackTree, TreePlace } from './trees.ts';

/*
 * What is to be moved is written down before the first move, with the identity of what stands there and of what takes its
 * place. Whoever comes after a kill looks where each of the two is, and goes on from there, or back.
 */

/**
 * Puts what `restoreTree` made where it belongs, by renaming. What was there is kept beside it. A tree in place is away
 * for the moment between two renames; a single file never is.
 *
 * Throws RefusedForSafety where something stands in the way that was not there, RestoreFailed where it cannot be moved.
 * Then, and after a kill, part may have been moved: call it again, or `takeBackTree`.
 */
export async function placeTree(place: TreePlace): Promise<PlacedTree> {
  const journal = await withStaging(place, async (staging) => {
    if (!staging) throw notRestored(place);
    const begun = (await readJournal(place)) ?? (await setOut(place, staging));
    if (begun.placed) return begun;
    await makeAbove(begun, await rootOf(place), staging);
    for (const move of begun.moves)
      await withMove(staging, move, place, (at) => putInPlace(place, begun, staging, move, at));
    await syncAround(begun.moves, staging);
    await writeRecord(staging.own.moves, { ...begun, placed: true });
    return begun;
  });
  return describePlaced(place, journal);
}

/**
 * Puts back what was there before `placeTree`, keeps what that put there under a name of its own beside it, for an
 * application may have written into it, and says which. What took the place of nothing (modes `new` and `beside`) goes
 * back into the staging directory. Does nothing where nothing was moved, and after `dropTreeLeftOvers`, which ends the
 * restore. Throws RestoreFailed, and RefusedForSafety where something stands under that name.
 */
export async function takeBackTree(place: TreePlace): Promise<TakenBackTree> {
  await withStaging(place, async (staging) => {
    const journal = await readJournal(place);
    if (staging && journal) await takeBack(place, journal, staging);
  });
  return describeTakenBack(place);
}

/**
 * Ends a restore of a tree: removes its staging directory. Where `placeTree` was begun and not finished, what was there
 * is put back first, as `takeBackTree` does. Does nothing where there is nothing; what is in place and what is kept stays. Throws RestoreFailed,
 * and RefusedForSafety where what is there is not from this restore.
 */
export async function dropTreeLeftOvers(place: TreePlace): Promise<void> {
  await withStaging(place, async (staging) => {
    if (!staging) return;
    const journal = await readJournal(place);
    if (journal && !journal.placed) await takeBack(place, journal, staging);
    await discardStaging(staging);
  });
}

async function setOut(place: TreePlace, staging: OpenStaging): Promise<Journal> {
  const restored = await finishedTry(place);
  if (!restored) throw notRestored(place);
  await flush(staging.named.directory);
  // What is left out takes nothing's place.
  const targets = (await targetsOf(place)).filter(({ within: name }) => restored.omitted?.includes(name) !== true);
  const root = await rootOf(place);
  const made: string[] = [];
  for (const { within: name } of targets) {
    const missing = await missingAbove(root, name);
    made.push(...missing.map((above) => path.join(root, above)).filter((each) => !made.includes(each)));
  }
  const moves = await Promise.all(targets.map((target) => planMove(place, staging, target)));
  const journal: Journal = { moves, made, placed: false };
  await writeRecord(staging.own.moves, journal);
  return journal;
}

async function planMove(place: TreePlace, staging: OpenStaging, target: TreeTarget): Promise<Move> {
  const { live, keptAs, within: name } = target;
  const staged = path.join(staging.named.tree, name);
  const before = await identityWithin(staging, live);
  const after = await identityWithin(staging, staged);
  if (after === null) throw vanished(staged);
  if (before !== null && place.mode !== 'in-place') throw inTheWay(live);
  const undone = nameBeside(live, 'undone', place);
  for (const taken of takenTo(place) === 'beside' ? [keptAs, undone] : [keptAs])
    if ((await identityWithin(staging, taken)) !== null) throw inTheWay(taken);
  return { live, keptAs, staged, before, after };
}

/** Makes the directories above what is put in place as they are in the backup. */
async function makeAbove({ made }: Journal, root: string, staging: OpenStaging): Promise<void> {
  for (const directory of made) {
    const { mode, uid, gid } = await stat(path.join(staging.own.tree, path.relative(root, directory)));
    await within(staging, path.dirname(directory), (at) =>
      doing(directory, () => makeOne(path.join(at, path.basename(directory)), { mode, uid, gid })),
    );
  }
}

async function makeOne(directory: string, { mode, uid, gid }: { mode: number; uid: number; gid: number }) {
  await mkdir(directory, { mode: 0o700 }).catch((error: unknown) => {
    if (codeOf(error) !== 'EEXIST') throw error;
  });
  // Who owns the tree may have put a link there meanwhile.
  const handle = await openDirectory(directory);
  try {
    await handle.chown(uid, gid);
    await handle.chmod(mode & 0o7777);
  } finally {
    await handle.close();
  }
}

/** What turns out to have come somewhere else, because that was moved away, is taken back at once. */
async function putInPlace(place: TreePlace, journal: Journal, staging: OpenStaging, move: Move, at: MoveAt) {
  await carryOut(move, at);
  try {
    await assertWhereNamed(staging, move.live, at.live);
  } catch (error) {
    // The handles still lead to where it is; by its name nobody may ever find it.
    await undo(move, at, 'staging');
    await takeBack(place, { ...journal, moves: journal.moves.slice(0, journal.moves.indexOf(move)) }, staging);
    throw error;
  }
}

async function carryOut(move: Move, at: MoveAt): Promise<void> {
  const { live, keptAs, staged, before, after } = move;
  const found = await identityOf(at.live);
  if (found === after) return;
  if ((await identityOf(at.staged)) !== after) throw vanished(staged);
  if (found !== null && found === before) await putAside(move, at);
  else if (found !== null) await doing(live, () => rename(at.live, at.meanwhile));
  if (before !== null && (await identityOf(at.keptAs)) !== before) throw vanished(keptAs);
  await doing(live, () => moveAcross(at.staged, at.live));
}

async function putAside({ live, keptAs, before }: Move, at: MoveAt): Promise<void> {
  const kept = await identityOf(at.keptAs);
  // An earlier try got as far as this.
  if (kept !== null && kept === before) return;
  if (kept !== null) throw inTheWay(keptAs);
  const single = !(await isDirectory(at.live)) && !(await isDirectory(at.staged));
  // A file keeps its name until the other one takes it.
  if (single && (await hasLinked(at.live, at.keptAs))) return;
  await doing(live, () => rename(at.live, at.keptAs));
}

/** The contents must be on the disk before the names say so. */
async function flush(directory: string): Promise<void> {
  await readProcess({ command: 'sync', args: ['--file-system', directory] }).catch((error: unknown) => {
    // Without the program (coreutils) the system writes them when it likes.
    if (!isHoldfastError(error, 'ToolMissing')) throw error;
  });
}

async function describePlaced(place: TreePlace, { moves }: Journal): Promise<PlacedTree> {
  const replacing = moves.filter(({ before }) => before !== null);
  const meanwhile: string[] = [];
  for (const { live } of moves) {
    const name = nameBeside(live, 'meanwhile', place);
    if (await lookAt(name)) meanwhile.push(name);
  }
  return {
    tree: place.tree,
    targets: moves.map(({ live }) => live),
    keptAs: replacing.map(({ keptAs }) => keptAs),
    meanwhile,
    goBack: replacing.flatMap(({ live, keptAs }) => [
      // Given twice they change nothing: nothing is moved into a directory that is there, nor over a file.
      `mv -T -n -- ${shellQuoted(live)} ${shellQuoted(nameBeside(live, 'undone', place))}`,
      `mv -T -n -- ${shellQuoted(keptAs)} ${shellQuoted(live)}`,
    ]),
    dropKept: replacing.map(({ keptAs }) => `rm -rf --one-file-system -- ${shellQuoted(keptAs)}`),
  };
}

function notRestored({ tree }: TreePlace): HoldfastError {
  return new HoldfastError('RestoreFailed', `Tree ${tree} was not restored, nothing can be put in place`, {
    advice: 'Restore it again.',
  });
}
