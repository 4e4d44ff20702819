import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rm, statfs } from 'node:fs/promises';
import path from 'node:path';
import { codeOf, HoldfastError, messageOf } from '../errors.ts';

/**
 * The worker's staging directory. It holds ciphertext and what is needed to send it, nothing else:
 *
 *     <spool>/id                                     names this spool for ever; the host's task queue carries it
 *     <spool>/<backup-id>/attempt-0001/              one try at reading the source; tries never share a file
 *         journal.jsonl                              what is finished, in order (journal.ts)
 *         <object>.00001.segment                     ciphertext, one file a segment
 *         uploads/<backend>/<object>.locator         which upload of which backend is under way
 *         uploads/<backend>/delivered.jsonl          what the backend has (deliveries.ts)
 *     <spool>/<backup-id>/left/<backend>.json        a backend that is no longer sent the backup (leaving.ts)
 *
 * Directories are 0700 and files 0600. Nothing here has to survive a power cut: what can't be trusted is read anew.
 */
export interface Spool {
  readonly path: string;
  readonly id: string;
  /** The most that all backups together may hold, in bytes. */
  readonly limit: number;
  readonly segmentSize: number;
}

export interface SpoolOptions {
  readonly path: string;
  readonly limit: number;
  readonly segmentSize: number;
}

/** Directly in the spool, beside the backups' folders. */
export const SPOOL_ID_FILE = 'id';

/** Opens the spool, creating it with mode 0700 where it is not there. Rejects with `SpoolFailed`. */
export async function openSpool(options: SpoolOptions): Promise<Spool> {
  const directory = path.resolve(options.path);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return {
      path: directory,
      id: await readOrCreateId(directory),
      limit: options.limit,
      segmentSize: options.segmentSize,
    };
  } catch (error) {
    throw spoolFailure(error, directory);
  }
}

/** Free bytes on the spool's filesystem. */
export async function spoolFreeBytes(spool: Spool): Promise<number> {
  const { bavail, bsize } = await statfs(spool.path);
  return bavail * bsize;
}

/** Directories of the tries at one backup, oldest first. */
export async function listAttempts(spool: Spool, backup: string): Promise<string[]> {
  try {
    const entries = await readdir(path.join(spool.path, backup));
    return entries.filter((entry) => /^attempt-\d{4}$/.test(entry)).toSorted();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw spoolFailure(error, spool.path);
  }
}

/** Removes everything the spool holds of one backup. Removing what is not there is not an error. */
export async function removeFromSpool(spool: Spool, backup: string): Promise<void> {
  try {
    await rm(path.join(spool.path, backup), { recursive: true, force: true });
  } catch (error) {
    throw spoolFailure(error, spool.path);
  }
}

/** Turns a system error met in the spool into one that says what to do. HoldfastErrors pass unchanged. */
export function spoolFailure(error: unknown, where: string): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const reasons: Readonly<Record<string, readonly [string, string]>> = {
    ENOSPC: ['the disk is full', 'Free space there, or point spool.path at a larger disk.'],
    EDQUOT: ['the disk quota is used up', 'Raise the quota, or point spool.path elsewhere.'],
    EROFS: ['the filesystem is read-only', 'Remount it writable, or point spool.path elsewhere.'],
    EACCES: ['permission is denied', 'Give the user of the worker the directory, or point spool.path elsewhere.'],
  };
  const [reason, advice] = reasons[codeOf(error) ?? ''] ?? [messageOf(error), 'Check the disk that holds the spool.'];
  // A full disk is not emptied by trying again at once.
  return new HoldfastError('SpoolFailed', `The spool at ${where} cannot be used: ${reason}.`, {
    advice,
    cause: error,
    retryable: false,
  });
}

async function readOrCreateId(directory: string): Promise<string> {
  const file = path.join(directory, SPOOL_ID_FILE);
  try {
    const handle = await open(file, 'wx', 0o600);
    try {
      await handle.writeFile(`${randomUUID()}\n`);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
  const id = (await readFile(file, 'utf8')).trim();
  if (id === '') throw new HoldfastError('SpoolFailed', `${file} is empty.`, { advice: `Remove it; it is made anew.` });
  return id;
}
