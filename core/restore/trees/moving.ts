import { chmod, link, rename } from 'node:fs/promises';
import path from 'node:path';
import { codeOf, HoldfastError, messageOf } from '../../errors.ts';
import { systemAdvice } from '../../systemErrors.ts';
import type { Move } from './moveJournal.ts';
import { within } from './pinnedMoves.ts';
import { lookAt, syncDirectory, type OpenStaging } from './stagingDirectory.ts';

/** To go into another directory, one has to be writable for its owner where that is not root: its `..` is written. */
export async function moveAcross(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    const found = await lookAt(from);
    if (codeOf(error) !== 'EACCES' || found?.isDirectory() !== true) throw error;
    const mode = Number(found.mode & 0o7777n);
    await chmod(from, mode | 0o700);
    await rename(from, to).catch(async (failure: unknown) => {
      await chmod(from, mode);
      throw failure;
    });
    await chmod(to, mode);
  }
}

/** Whether a second name could be given: not every file system knows them, nor everybody's files may get one. */
export async function hasLinked(file: string, name: string): Promise<boolean> {
  return link(file, name).then(
    () => true,
    () => false,
  );
}

/** False also where nothing is. */
export async function isDirectory(file: string): Promise<boolean> {
  return (await lookAt(file))?.isDirectory() === true;
}

/** Brings what was renamed to the disk. */
export async function syncAround(moves: readonly Move[], staging: OpenStaging): Promise<void> {
  for (const directory of new Set(moves.map(({ live }) => path.dirname(live))))
    await within(staging, directory, syncDirectory);
}

/** For a line that is pasted into a shell. */
export function shellQuoted(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** Throws RestoreFailed, with the file's name, for what the system refuses. */
export async function doing(file: string, step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (cause) {
    throw new HoldfastError('RestoreFailed', `${file} cannot be put in place: ${messageOf(cause)}`, {
      advice:
        codeOf(cause) === 'EXDEV' || codeOf(cause) === 'EBUSY'
          ? 'It is a mount point or on another file system: restore with mode beside, and copy.'
          : (systemAdvice(cause) ?? `Check that this user may change ${path.dirname(file)}.`),
      cause,
    });
  }
}

/** Something stands where something is to be put. */
export function inTheWay(file: string): HoldfastError {
  return new HoldfastError('RefusedForSafety', `${file} exists already`, {
    advice: 'Nothing is overwritten: move it away, or restore with another id.',
  });
}

/** What this restore left there is not there any more. */
export function vanished(file: string): HoldfastError {
  return new HoldfastError('RestoreFailed', `${file} is not what this restore left there`, {
    advice: 'Somebody has moved it meanwhile. Look at what stands there and beside it.',
  });
}
