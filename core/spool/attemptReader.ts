import { access, open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../errors.ts';
import { JOURNAL_FILE, parseEntry, segmentFile, type JournalEntry } from './journal.ts';
import { listAttempts, spoolFailure, type Spool } from './spool.ts';

/** An attempt as its readers see it: it may still be growing. */
export interface AttemptReader {
  readonly directory: string;
  /**
   * The journal from its beginning, following it while it grows. Ends after `end`; ends early with `superseded` when
   * the attempt was given up: what was sent of it is worthless then.
   */
  follow(signal: AbortSignal): AsyncIterable<JournalEntry | { readonly type: 'superseded' }>;
  /**
   * Reads the ciphertext of one segment into `buffer`, which must be as large as a segment, and gives the filled part of
   * it. `superseded` when the attempt was given up meanwhile, `removed` when the segment alone is gone: the spool was full,
   * and every backend that was waited for had it.
   */
  readSegment(object: string, number: number, buffer: Buffer): Promise<Buffer | 'superseded' | 'removed'>;
}

const POLL_INTERVAL = 40;
/** Looking for a newer attempt costs a directory listing; it only matters when the dump has failed. */
const SUPERSEDED_CHECK_INTERVAL = 400;

/** Waits for an attempt at `backup` that is newer than `after` (a directory), and opens it. */
export async function nextAttempt(
  spool: Spool,
  backup: string,
  after: string | undefined,
  signal: AbortSignal,
): Promise<AttemptReader> {
  for (;;) {
    const newest = await newestAttempt(spool, backup);
    if (newest !== undefined && (after === undefined || newest > after)) return attemptReader(spool, backup, newest);
    await pause(signal);
  }
}

function attemptReader(spool: Spool, backup: string, directory: string): AttemptReader {
  const superseded = async () => (await newestAttempt(spool, backup)) !== directory;
  return {
    directory,
    async *follow(signal) {
      const journal = await openUnlessGone(path.join(directory, JOURNAL_FILE), superseded, signal);
      if (journal === undefined) {
        yield { type: 'superseded' };
        return;
      }
      try {
        for await (const line of linesOf(journal, superseded, signal)) {
          if (line === undefined) {
            yield { type: 'superseded' };
            return;
          }
          const entry = parseEntry(line);
          yield entry;
          if (entry.type === 'end') return;
        }
      } finally {
        await journal.close();
      }
    },
    async readSegment(object, number, buffer) {
      try {
        const file = await open(path.join(directory, segmentFile(object, number)), 'r');
        try {
          return buffer.subarray(0, await fill(file, buffer));
        } finally {
          await file.close();
        }
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return (await isEmptied(directory)) ? 'superseded' : 'removed';
        throw spoolFailure(error, directory);
      }
    },
  };
}

/** Complete lines as they come; `undefined` when the attempt was superseded. */
async function* linesOf(
  journal: FileHandle,
  superseded: () => Promise<boolean>,
  signal: AbortSignal,
): AsyncGenerator<string | undefined> {
  const buffer = Buffer.alloc(64 * 1024);
  let rest = '';
  let nextCheck = 0;
  for (;;) {
    const { bytesRead } = await journal.read(buffer, 0, buffer.length);
    if (bytesRead === 0) {
      if (Date.now() >= nextCheck) {
        if (await superseded()) {
          yield undefined;
          return;
        }
        nextCheck = Date.now() + SUPERSEDED_CHECK_INTERVAL;
      }
      await pause(signal);
      continue;
    }
    const lines = (rest + buffer.toString('utf8', 0, bytesRead)).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}

/** The journal is made just after its directory: a short wait is normal. */
async function openUnlessGone(
  file: string,
  gone: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<FileHandle | undefined> {
  for (;;) {
    try {
      return await open(file, 'r');
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw spoolFailure(error, file);
      if (await gone()) return undefined;
      await pause(signal);
    }
  }
}

async function fill(file: FileHandle, buffer: Buffer): Promise<number> {
  let filled = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, filled);
    filled += bytesRead;
    if (bytesRead === 0 || filled === buffer.length) return filled;
  }
}

async function isEmptied(directory: string): Promise<boolean> {
  try {
    await access(path.join(directory, JOURNAL_FILE));
    return false;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return true;
    throw error;
  }
}

async function newestAttempt(spool: Spool, backup: string): Promise<string | undefined> {
  const newest = (await listAttempts(spool, backup)).at(-1);
  return newest === undefined ? undefined : path.join(spool.path, backup, newest);
}

async function pause(signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  try {
    await sleep(POLL_INTERVAL, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}
