import { lstat, mkdir, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { codeOf, HoldfastError, messageOf } from '../errors.ts';
import { startProcess } from './childProcess.ts';

export interface DirectoryLockOptions {
  /** Is made, stays empty, and is removed at the end. The directory above it has to exist. */
  readonly directory: string;
  /** What nobody else may do meanwhile, e.g. `recovery into /srv/media`. */
  readonly what: string;
  readonly signal: AbortSignal;
  /** Told where this system cannot lock: the work is done without. */
  readonly warn: (text: string) => void;
}

/**
 * Does work that only one process of this machine may do at a time, also where several containers share the directory.
 * The kernel lets go of the lock when this process is gone, however it ends: what a killed one left bars nobody. The work
 * is given a signal that aborts with `signal` and when the lock is lost. Throws RefusedForSafety while another one holds it.
 */
export async function withDirectoryLock<Result>(
  options: DirectoryLockOptions,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const lost = new AbortController();
  const lock = await acquire(options, (error) => lost.abort(error));
  if (!lock) return work(options.signal);
  try {
    return await work(AbortSignal.any([options.signal, lost.signal]));
  } finally {
    // While it is held: who opened it before sees afterwards that it is gone.
    await rmdir(options.directory).catch(() => undefined);
    await lock.release();
  }
}

interface Lock {
  readonly release: () => Promise<void>;
}

async function acquire(options: DirectoryLockOptions, onLost: (error: Error) => void): Promise<Lock | undefined> {
  const { directory, what, signal, warn } = options;
  for (;;) {
    signal.throwIfAborted();
    const before = await makeOwn(options);
    try {
      const lock = await lockWith(options, onLost);
      if (before === (await identityOf(directory))) return lock;
      // The one before has removed it on its way out.
      await lock.release();
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.type === 'RefusedForSafety') throw error;
      if ((await identityOf(directory)) !== before) continue;
      warn(`it cannot be made sure that no other ${what} runs (${error.message}): do not start it twice`);
      await rmdir(directory).catch(() => undefined);
      return undefined;
    }
  }
}

/** Node itself cannot lock files. The program holds the lock as long as its standard input is open here. */
async function lockWith({ directory, what }: DirectoryLockOptions, onLost: (error: Error) => void): Promise<Lock> {
  const input = new PassThrough();
  // With `/.` behind it nothing is made where it is gone meanwhile.
  const args = ['-n', path.join(directory, '/') + '.', 'cat'];
  const { stdout, finished } = startProcess({ command: 'flock', args, input, acceptedExitCodes: [HELD] });
  input.write('held\n');
  const begun = new Promise<'held'>((resolve) => stdout.once('data', () => resolve('held')));
  const answer = await Promise.race([begun, finished]);
  if (answer === HELD)
    throw new HoldfastError('RefusedForSafety', `Another ${what} is under way`, {
      advice: 'Wait for its end, or end it.',
    });
  let released = false;
  const end = (cause: unknown) => {
    if (!released)
      onLost(new HoldfastError('RestoreFailed', `the lock of the ${what} was lost: ${messageOf(cause)}`, { cause }));
  };
  finished.then(() => end('flock has ended'), end);
  return {
    release: async () => {
      released = true;
      input.end();
      await finished.catch(() => undefined);
    },
  };
}

/** The exit code of flock(1) where somebody else holds the lock. */
const HELD = 1;

/** Gives its device and inode. Throws RefusedForSafety where something else has the name. */
async function makeOwn({ directory }: DirectoryLockOptions): Promise<string | undefined> {
  await mkdir(directory, { mode: 0o700 }).catch((cause: unknown) => {
    if (codeOf(cause) === 'EEXIST') return;
    throw new HoldfastError('RestoreFailed', `${directory} cannot be made: ${messageOf(cause)}`, {
      advice: `Check that ${path.dirname(directory)} may be written to by this user.`,
      cause,
    });
  });
  const found = await lstat(directory).catch(() => undefined);
  if (found && (!found.isDirectory() || found.uid !== process.getuid?.()))
    throw new HoldfastError('RefusedForSafety', `${directory} is not a directory that this user has made`, {
      advice: 'Look whose it is, and remove it.',
    });
  return found && `${found.dev}:${found.ino}`;
}

async function identityOf(directory: string): Promise<string | undefined> {
  const found = await lstat(directory).catch(() => undefined);
  return found && `${found.dev}:${found.ino}`;
}
