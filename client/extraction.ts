import { once } from 'node:events';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { HoldfastError, isHoldfastError, messageOf, type ErrorType } from '../core/errors.ts';
import { EXTRACT_FORMS, extractForm, type ExtractForm } from '../core/repository/extractForm.ts';
import type { PathList } from '../core/backup/part.ts';
import type { LeftOut } from '../core/files/archiveGuard.ts';
import type { PartCopy } from '../core/repository/extractPart.ts';
import type { Manifest } from '../core/repository/manifest.ts';
import type { OpeningKey } from '../core/seal/keys.ts';
import type { Backend } from '../core/storage/backend.ts';
import { formatBytes, formatCount } from '../core/format.ts';
import { cutList } from '../core/postgres/identifiers.ts';
import { showProgress, type ProgressLine } from './progress.ts';
import { EXIT_CODES, type ExitCode, type Terminal } from './terminal.ts';

export interface ExtractOptions {
  readonly part: string;
  readonly as?: ExtractForm;
  readonly output: string;
}

/** A copy that may be taken: opened only when its turn comes. */
export interface CopyToTry {
  readonly backend: string;
  open(): Promise<{ readonly backend: Backend; readonly manifest: Manifest }>;
}

/** The options that say what to extract and where to. */
export function addExtractOptions(command: Command): Command {
  return command
    .option('--part <name>', 'database, schema, globals, inventory, rows-1, media, ...', 'database')
    .addOption(new Option('--as <form>', "what to make of it (default: the part's own)").choices(EXTRACT_FORMS))
    .requiredOption(
      '-o, --output <path>',
      'new file, new directory for --as files, or - for standard output',
      notEmpty,
    );
}

/**
 * Extracts a part from the first copy that is good; bad ones are reported on the way. Nothing stands under the output's
 * name unless all of it is there and verified.
 */
export async function extractFromCopies(
  terminal: Terminal,
  copies: readonly CopyToTry[],
  openingKeys: readonly OpeningKey[],
  options: ExtractOptions,
): Promise<ExitCode> {
  if (options.output === '-' && (terminal.json || options.as === 'files')) {
    throw new HoldfastError('InvalidInput', 'Standard output cannot take both this and the extracted part', {
      advice: terminal.json ? 'Leave --json out, or name a file with -o.' : 'Name a directory with -o.',
    });
  }
  const signal = terminal.interruption();
  const failures: HoldfastError[] = [];
  for (const copy of copies) {
    const started = { output: false };
    try {
      const opened = await copy.open();
      const done = await extractOne(terminal, { ...opened, openingKeys, signal }, options, started);
      report(terminal, { ...done, backend: copy.backend, id: opened.manifest.id }, options);
      const complete = warnOfLeftOut(terminal, done);
      return failures.length === 0 && complete ? EXIT_CODES.done : EXIT_CODES.degraded;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (started.output || !saysNothingAboutOthers(error)) throw error;
      failures.push(error);
      if (copies.length > 1) terminal.warn(`the copy on ${copy.backend} is passed over: ${messageOf(error)}`);
    }
  }
  const [only, second] = failures;
  throw only && !second ? only : noGoodCopy(copies, failures);
}

interface Extracted {
  readonly part: string;
  readonly form: ExtractForm;
  readonly bytes: number;
  /** What a tree holds that is not written out: it could reach beyond the new directory. */
  readonly leftOut?: LeftOut;
  /** Programs that do not run as their owner any more, because that is another one now. */
  readonly withoutSetIds?: PathList;
  /** Extended attributes and ACLs that could not be set. */
  readonly lostAttributes?: PathList;
}

interface CopyToExtract {
  readonly backend: Backend;
  readonly manifest: Manifest;
  readonly openingKeys: readonly OpeningKey[];
  readonly signal: AbortSignal;
}

async function extractOne(
  terminal: Terminal,
  copy: CopyToExtract,
  options: ExtractOptions,
  started: { output: boolean },
): Promise<Extracted> {
  const { partNamed } = await import('../core/repository/readPart.ts');
  const part = partNamed(copy.manifest, options.part);
  const form = extractForm(copy.manifest, part, options.as);
  let read = 0;
  const source = { ...copy, part, pgRestore: newestPgRestore, onProgress: (bytes: number) => (read = bytes) };
  const line = () => ({ label: part.part, done: read, total: part.originalBytes, state: 'reading' });
  return withProgress(terminal, `extracting from ${copy.backend.name}`, line, () =>
    writeOut(terminal, source, form, options, started),
  );
}

async function writeOut(
  terminal: Terminal,
  source: PartCopy,
  form: ExtractForm,
  options: ExtractOptions,
  started: { output: boolean },
): Promise<Extracted> {
  const { partBytes, writeNewFile, writeNewTree } = await import('../core/repository/extractPart.ts');
  const { part } = source.part;
  if (form === 'files') {
    const { findTar } = await import('../core/files/tarProgram.ts');
    const { totals, ...unpacked } = await writeNewTree(source, options.output, await findTar());
    const { leftOut, withoutSetIds, lostAttributes } = unpacked;
    return { part, form, bytes: totals.bytes, leftOut, withoutSetIds, lostAttributes };
  }
  const bytes = partBytes(source, form);
  if (options.output !== '-') return { part, form, bytes: await writeNewFile(bytes, options.output) };
  let written = 0;
  // Should the reader go away, the process ends at once, and not with 0: what was read is not the whole part.
  terminal.exitCode = EXIT_CODES.failed;
  for await (const chunk of bytes) {
    started.output = true;
    written += chunk.length;
    if (!terminal.stdout.write(chunk)) await once(terminal.stdout, 'drain');
  }
  return { part, form, bytes: written };
}

async function withProgress<Result>(
  terminal: Terminal,
  phase: string,
  line: () => ProgressLine,
  work: () => Promise<Result>,
): Promise<Result> {
  const done = new AbortController();
  const display = showProgress({
    terminal,
    poll: async () => ({ phase, lines: [line()] }),
    signal: done.signal,
  });
  try {
    return await work();
  } finally {
    done.abort();
    await display;
  }
}

function report(terminal: Terminal, done: Extracted & { backend: string; id: string }, { output }: ExtractOptions) {
  const text = `${done.part} of ${done.id} from ${done.backend} as ${done.form}: ${formatBytes(done.bytes)}`;
  if (output === '-') terminal.note(`${text}, verified`);
  // What was unpacked was not read again, its attributes least of all: a restore does that.
  else if (done.form === 'files')
    terminal.answer({ ...done, output }, () => `${text}, out of the verified archive, in ${output}`);
  else terminal.answer({ ...done, output }, () => `${text}, verified, in ${output}`);
}

/** Whether everything was written. */
function warnOfLeftOut(terminal: Terminal, { leftOut, withoutSetIds, lostAttributes }: Extracted): boolean {
  if (leftOut === undefined) return true;
  const lists = [
    ['symbolic link that leads out of the tree', 'symbolic links that lead out of the tree', leftOut.outsideLinks],
    ['FIFO or device', 'FIFOs and devices', leftOut.specialFiles],
    [
      'entry with a path too long for any program here',
      'entries with paths too long for any program here',
      leftOut.longPaths,
    ],
  ] as const;
  const some = lists.filter(([, , { count }]) => count > 0);
  for (const [one, many, { count, paths }] of some) {
    terminal.warn(
      `${formatCount(count, one, many)} left out: ${paths.join(', ')}. The archive has all: extract it with --as tar.`,
    );
  }
  const lost = lostAttributes?.count ?? 0;
  if (lost > 0)
    terminal.warn(
      `${formatCount(lost, 'attribute')} (extended attributes, ACLs, capabilities) could not be set here: ${cutList(lostAttributes?.paths ?? [], lost)}. Extract as root, with GNU tar, onto a file system that keeps them, or the archive itself with --as tar.`,
    );
  const { count = 0, paths = [] } = withoutSetIds ?? {};
  if (count > 0)
    terminal.warn(
      count === 1
        ? `1 program belongs to this user now and does not run as its owner any more (set-user-ID, set-group-ID): ${paths.join(', ')}.`
        : `${count} programs belong to this user now and do not run as their owner any more (set-user-ID, set-group-ID): ${paths.join(', ')}.`,
    );
  return some.length === 0 && count === 0 && lost === 0;
}

/** Faults of one copy or its backend; another copy may be good. A missing key is missing for all of them. */
const FAULTS_OF_ONE_COPY: readonly ErrorType[] = [
  'BackendUnreachable',
  'BackendRefused',
  'ObjectMissing',
  'ObjectDamaged',
  'ManifestInvalid',
  'InvalidConfiguration',
];

function saysNothingAboutOthers(error: unknown): error is HoldfastError {
  return isHoldfastError(error) && FAULTS_OF_ONE_COPY.includes(error.type);
}

function noGoodCopy(copies: readonly CopyToTry[], failures: readonly unknown[]): HoldfastError {
  return new HoldfastError(
    'ObjectDamaged',
    copies.length === 1 ? 'The only copy cannot be used' : `None of ${copies.length} copies can be used`,
    {
      advice: 'Mend what is said of each copy above, or choose another backup with `holdfast list`.',
      cause: failures[0],
    },
  );
}

/** Newer releases of pg_restore read every older archive. */
async function newestPgRestore(): Promise<string> {
  const { findClientPrograms, programPath } = await import('../core/postgres/clients.ts');
  const [newest] = await findClientPrograms();
  if (newest) return programPath(newest, 'pg_restore');
  throw new HoldfastError('ToolMissing', 'pg_restore is not installed, and only it can make SQL of a dump', {
    advice: 'Install the PostgreSQL client programs, or extract with --as dump.',
  });
}

function notEmpty(text: string): string {
  if (text === '') throw new InvalidArgumentError('expected a path, or - for standard output.');
  return text;
}
