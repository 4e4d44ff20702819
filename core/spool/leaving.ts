import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { codeOf, HoldfastError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { spoolFailure, type Spool } from './spool.ts';

/*
 * Backends that are no longer sent a backup. The dump notes whom it left behind, and that upload ends; an upload notes that
 * it was given up, and the dump waits for it no more. It holds for every attempt at the backup.
 */

const leavingNote = z.discriminatedUnion('reason', [
  /** The spool was full, and `bytes` that others have were still to be sent to this backend. */
  z.object({ reason: z.literal('behind'), bytes: z.int(), limit: z.int() }),
  /** Its upload was given up for a reason of its own. */
  z.object({ reason: z.literal('ended') }),
]);

export type LeavingNote = z.infer<typeof leavingNote>;

/** Notes that a backend is out; the first note stands. Rejects with `SpoolFailed`. */
export async function noteLeaving(spool: Spool, backup: string, backend: string, note: LeavingNote): Promise<void> {
  if ((await readLeaving(spool, backup, backend)) !== undefined) return;
  const file = noteFile(spool, backup, backend);
  try {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    // Renamed into place: a reader sees all of it or nothing.
    await writeFile(`${file}.new`, JSON.stringify(note), { mode: 0o600 });
    await rename(`${file}.new`, file);
  } catch (error) {
    throw spoolFailure(error, spool.path);
  }
}

/** Why a backend is out, or undefined while it is not. Rejects with `SpoolFailed`. */
export async function readLeaving(spool: Spool, backup: string, backend: string): Promise<LeavingNote | undefined> {
  try {
    return leavingNote.parse(JSON.parse(await readFile(noteFile(spool, backup, backend), 'utf8')));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw spoolFailure(error, spool.path);
  }
}

/** Ends the upload of a backend that the dump could not wait for. */
export function leftBehind(backend: string, { bytes, limit }: LeavingNote & { reason: 'behind' }): HoldfastError {
  return new HoldfastError(
    'LeftBehind',
    `backend ${backend} was left behind: ${formatBytes(bytes)} (${bytes} bytes) were still to be sent to it when the ` +
      `spool reached its limit of ${formatBytes(limit)}`,
    { advice: ADVICE },
  );
}

/** Ends an upload that would have to send what the spool no longer holds. */
export function goneFromSpool(backend: string, object: string, number: number): HoldfastError {
  return new HoldfastError(
    'LeftBehind',
    `backend ${backend} was left behind: it lost what it had of ${object}, and segment ${number} is no longer in the spool`,
    { advice: ADVICE },
  );
}

const ADVICE =
  'Its copy is to be made from another one. If it happens again, raise spool.limit or look at why this storage is slow.';

function noteFile(spool: Spool, backup: string, backend: string): string {
  return path.join(spool.path, backup, 'left', `${backend}.json`);
}
