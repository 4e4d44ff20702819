import { Readable } from 'node:stream';
import { HoldfastError } from '../../errors.ts';
import { quoteConnectionValue } from '../../postgres/identifiers.ts';
import { programPath, type ClientPrograms } from '../../postgres/clients.ts';
import { noRestoreProgram } from '../../postgres/restoreProgram.ts';
import { readProcess, startProcess } from '../../process/childProcess.ts';
import { drain, leftOpen } from '../../repository/asyncItems.ts';
import type { ArchiveEntry } from './archiveEntries.ts';
import { collectErrors } from './restoreFailure.ts';

export interface RestoreSession {
  readonly clients: ClientPrograms;
  /** Of the server, e.g. 15. */
  readonly serverMajor: number;
  /** Of `createClientEnvironment`. */
  readonly variables: Readonly<Record<string, string>>;
  readonly target: string;
  /** --no-owner and the like. */
  readonly options: readonly string[];
  /** Of the definitions' archive, to name objects by. */
  readonly entries: readonly ArchiveEntry[];
}

/**
 * The installation whose pg_restore reads what this pg_dump wrote: of pg_dump's own major version, else of the next newer
 * one. Throws `ToolMissing`.
 */
export function chooseRestorePrograms(installed: readonly ClientPrograms[], clientVersion: string): ClientPrograms {
  const wanted = Number.parseInt(clientVersion, 10);
  const able = installed.filter(({ major }) => major >= wanted);
  const nearest = Math.min(...able.map(({ major }) => major));
  const fitting = able.find(({ major }) => major === nearest);
  if (fitting) return fitting;
  throw noRestoreProgram(installed[0], clientVersion);
}

/**
 * What pg_restore's sessions run under, over whatever the database or role has set. A commit need not wait for the disk
 * until the restore's last one, which waits for all before it.
 */
export const RESTORE_SETTINGS = [
  'synchronous_commit=off',
  'default_transaction_read_only=off',
  'default_transaction_isolation=read\\ committed',
  'statement_timeout=0',
  'lock_timeout=0',
  'idle_in_transaction_session_timeout=0',
  'idle_session_timeout=0',
  // Options of dictionaries are stored as they are printed.
  'quote_all_identifiers=off',
];

/** The archive's table of contents; with `--verbose` what depends on what. */
export function listArchiveFile(clients: ClientPrograms, file: string, signal?: AbortSignal): Promise<string> {
  return readProcess({
    command: programPath(clients, 'pg_restore'),
    args: ['--list', '--verbose', file],
    ...(signal && { signal }),
  });
}

/**
 * Runs pg_restore over an archive in a file. The first error ends it, and the first privilege that was not given. Throws RestoreFailed naming the object,
 * SourceUnreachable, ToolMissing, DumpFailed for all else, and the signal's reason.
 */
export function restoreFile(
  session: RestoreSession,
  file: string,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  return runRestore(session, [...args, file], undefined, signal);
}

/**
 * The same over an archive that comes as a stream. Ends well only when pg_restore did and the stream came to a good end;
 * an error of the stream is thrown before pg_restore's, which is its consequence.
 */
export async function restoreStream(
  session: RestoreSession,
  archive: AsyncGenerator<Buffer, void>,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  const source = leftOpen(archive);
  try {
    await runRestore(session, args, Readable.from(source, { objectMode: false }), signal);
    // pg_restore stops at the end of the last block; the stream's own checks come after it.
    await drain(archive);
  } catch (error) {
    throw source.failure ? source.failure.error : error;
  }
  if (source.failure) throw source.failure.error;
}

/**
 * From 17 on pg_restore turns this off in every session, and no option keeps it from it; servers before 17 do not know it.
 * There alone it is not told to end at the first error, and is ended at the first other one.
 */
const UNKNOWN_TIMEOUT = /ERROR: {2}unrecognized configuration parameter "transaction_timeout"$/;

async function runRestore(
  session: RestoreSession,
  args: readonly string[],
  input: Readable | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const goesOn = goesOnPastErrors(session);
  const stop = new AbortController();
  const onRefusal = () => stop.abort();
  const errors = collectErrors(
    goesOn ? { ignored: UNKNOWN_TIMEOUT, onError: () => stop.abort(), onRefusal } : { onRefusal },
  );
  const { stdout, finished } = startProcess({
    command: programPath(session.clients, 'pg_restore'),
    args: [
      '--format=custom',
      ...(goesOn ? [] : ['--exit-on-error']),
      // Only then does it say which entry an error is about.
      '--verbose',
      '--no-password',
      // A connection string in which nothing of the name is special. A server that is gone is noticed within minutes.
      `--dbname=dbname=${quoteConnectionValue(session.target)} keepalives_idle=30 keepalives_interval=10 keepalives_count=6`,
      ...session.options,
      ...args,
    ],
    environment: { ...session.variables, PGOPTIONS: RESTORE_SETTINGS.map((setting) => `-c ${setting}`).join(' ') },
    ...(input && { input }),
    signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
    // Of a run that went on past an error.
    acceptedExitCodes: goesOn ? [1] : [],
    onErrorLine: errors.onLine,
  });
  stdout.resume();
  try {
    const code = await finished;
    if (code !== 0 && !errors.onlyIgnored()) throw unexplained(session);
  } catch (error) {
    signal?.throwIfAborted();
    throw errors.failure(session.entries) ?? (stop.signal.aborted ? unexplained(session) : error);
  }
}

function goesOnPastErrors({ clients, serverMajor }: RestoreSession): boolean {
  return clients.major >= 17 && serverMajor < 17;
}

/**
 * The argument for so many processes side by side. What they say of errors gets mixed up, in pieces: where errors have to be
 * told apart there is one process only.
 */
export function jobsArgument(session: RestoreSession, jobs: number): string {
  return `--jobs=${goesOnPastErrors(session) ? 1 : jobs}`;
}

function unexplained({ clients }: RestoreSession): HoldfastError {
  return new HoldfastError('DumpFailed', `${programPath(clients, 'pg_restore')} failed and did not say why`, {
    advice: 'Look into the log of the target server.',
  });
}
