import { chmod, chown, lstat, mkdir, readdir, utimes } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar';
import type { PathList } from '../backup/part.ts';
import { codeOf, HoldfastError, messageOf } from '../errors.ts';
import { systemAdvice } from '../systemErrors.ts';
import { startProcess } from '../process/childProcess.ts';
import { createArchiveGuard, type LeftOut } from './archiveGuard.ts';
import { createArchiveLimit, type ExpectedTotals } from './archiveLimit.ts';
import { atLongPath, LONGEST_PATH, LONGEST_PATH_OF_NODE } from './longPaths.ts';
import { archiveDamaged, createTotalsCounter, type ArchiveTotals } from './listArchive.ts';
import { createLostAttributes } from './lostAttributes.ts';
import { createPathCollector } from './paths.ts';
import type { PathSelection } from './pathSelection.ts';
import { hasSetIds, restoredMode } from './setIds.ts';
import { createTarReader, type TarEntry } from './tarReader.ts';
import type { TarProgram } from './tarProgram.ts';
import { bytePath } from './walkTree.ts';

export interface ExtractOptions {
  /** From `findTar`; without one node-tar extracts, without extended attributes, ACLs and sparse files. */
  readonly tar: TarProgram | undefined;
  /** Restore the owners as they were, by number. Needs root, and is the default there. */
  readonly owners?: boolean | undefined;
  /** Extract symbolic links that lead out of the directory too. Default no: they are listed as left out. */
  readonly outsideLinks?: boolean | undefined;
  /** Extract FIFOs and devices too. Needs root and GNU tar. Default no: they are listed as left out. */
  readonly specialFiles?: boolean | undefined;
  /** What the archive holds by its manifest. More of anything is refused before it is written, less is damage. */
  readonly expected?: ExpectedTotals | undefined;
  /** Only some of the entries; see pathSelection.ts. */
  readonly selection?: PathSelection | undefined;
  /** What messages call the directory, where that leads to it by a handle. */
  readonly named?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ExtractedArchive {
  readonly totals: ArchiveTotals;
  readonly leftOut: LeftOut;
  /** Paths of the selection that are left out themselves. */
  readonly omitted: readonly string[];
  /** Programs that ran as their owner, and do not any more: they belong to somebody else now. See setIds.ts. */
  readonly withoutSetIds: PathList;
  /** Extended attributes and ACLs that are known not to have come back, e.g. `a/b: ACL`. The others nobody has looked at. */
  readonly lostAttributes: PathList;
}

/**
 * Unpacks a tar archive into `directory`, which is created with mode 0700 if it is not there and must be empty.
 * Rejects with `RefusedForSafety` (directory not empty, an archive made to write elsewhere), `ObjectDamaged` (not a
 * whole archive), `ToolMissing` (sparse files without GNU tar), `DumpFailed` (tar failed, e.g. no space), or with
 * the stream's own error. What was unpacked until then stays: the caller owns the directory.
 */
export async function extractArchive(
  stream: Readable,
  directory: string,
  options: ExtractOptions,
): Promise<ExtractedArchive> {
  const { named = directory } = options;
  await prepareDirectory(directory, named);
  const root = process.getuid?.() === 0;
  const specialFiles = options.specialFiles === true && root && options.tar !== undefined;
  const guard = createArchiveGuard({
    specialFiles,
    outsideLinks: options.outsideLinks === true,
    longestPath: Math.min(longestPathOf(options.tar), roomBelow(directory, options.tar)),
  });
  const counter = createTotalsCounter();
  const limit = createArchiveLimit(options.expected);
  /** For node-tar, which leaves this to others. GNU tar does as much by itself, and remembers less. */
  const unfinished: TarEntry[] = [];
  const owners = options.owners ?? root;
  const withSetIds: TarEntry[] = [];
  const lost = createLostAttributes(options.tar, owners);
  const guarded = guardedStream((entry) => {
    limit.add(entry);
    const wanted = options.selection?.wants(entry) ?? true;
    const verdict = guard.judge(entry, wanted);
    if (verdict === 'drop') return verdict;
    if (entry.sparse && !options.tar) throw sparseNeedsTar();
    counter.add(entry);
    lost.meet(entry);
    if (!options.tar && (entry.kind === 'directory' || entry.kind === 'file')) unfinished.push(entry);
    if (!owners && hasSetIds(entry)) withSetIds.push(entry);
    return verdict;
  }, limit.end);
  const unpacking = { ...options, named, owners, onErrorLine: (line: string) => lost.hear(line) };
  if (options.tar) await unpackWithGnuTar(options.tar, stream, guarded, directory, unpacking);
  else {
    await unpackWithNode(stream, guarded, directory, unpacking);
    await finishEntries(directory, unfinished, owners);
  }
  const withoutSetIds = await clearSetIds(directory, withSetIds);
  const omitted = options.selection?.wanted((name) => guard.isLeftOut(name)) ?? [];
  return { totals: counter.totals(), leftOut: guard.leftOut(), omitted, withoutSetIds, lostAttributes: lost.list() };
}

/** Bytes of the longest path that an archive is unpacked with. */
export function longestPathOf(tar: TarProgram | undefined): number {
  return tar ? LONGEST_PATH : LONGEST_PATH_OF_NODE;
}

/** Node-tar puts the directory before every name. */
function roomBelow(directory: string, tar: TarProgram | undefined): number {
  return tar ? LONGEST_PATH : LONGEST_PATH - Buffer.byteLength(directory) - 1;
}

async function prepareDirectory(directory: string, named: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if ((await readdir(directory)).length > 0)
    throw new HoldfastError('RefusedForSafety', `${named} is not empty`, {
      advice: 'Name a directory that is empty or does not exist yet; files are never extracted over others.',
    });
}

interface UnpackOptions {
  readonly owners: boolean;
  readonly named: string;
  readonly outsideLinks?: boolean | undefined;
  readonly onErrorLine: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

async function unpackWithGnuTar(
  tar: TarProgram,
  archive: Readable,
  guarded: Transform,
  directory: string,
  { owners, named, onErrorLine, signal }: UnpackOptions,
): Promise<void> {
  const { stdout, finished } = startProcess({
    command: tar.path,
    args: [
      '--extract',
      '--file=-',
      '--numeric-owner',
      '--same-permissions',
      owners ? '--same-owner' : '--no-same-owner',
      // Without a pattern GNU tar extracts user.* only; the rest needs root.
      ...(tar.xattrs ? ['--xattrs', ...(owners ? ['--xattrs-include=*'] : [])] : []),
      ...(tar.acls ? ['--acls'] : []),
      '--quoting-style=escape',
    ],
    environment: { LC_ALL: 'C' },
    // Not as an argument: a path by a handle leads there in this process only, until the program begins.
    workingDirectory: directory,
    input: guarded,
    onErrorLine,
    ...(signal ? { signal } : {}),
  });
  stdout.resume();
  // A guard that refuses cuts tar's input short: its reason is the one to report, not tar's complaint about it.
  const [handedOver, unpacked] = await Promise.allSettled([
    pipeline(archive, guarded, signal ? { signal } : {}),
    finished,
  ]);
  signal?.throwIfAborted();
  if (handedOver.status === 'rejected' && codeOf(handedOver.reason) !== 'ERR_STREAM_PREMATURE_CLOSE')
    throw handedOver.reason;
  if (unpacked.status === 'rejected') throw withoutRoom(unpacked.reason, named);
  if (handedOver.status === 'rejected') throw handedOver.reason;
}

/** tar says of every single entry that there is no room for it: once is enough. Of one file alone it says how far it came. */
function withoutRoom(error: unknown, directory: string): unknown {
  const line = /^.*(?:No space left on device|Disk quota exceeded|Wrote only \d+ of \d+ bytes)$/m.exec(
    messageOf(error),
  )?.[0];
  if (line === undefined || !(error instanceof HoldfastError)) return error;
  return new HoldfastError(error.type, `${directory} has no room for the archive: ${line}`, {
    advice: `Make room there. Where \`df ${dirname(directory)}\` shows enough, the inodes are used up: \`df -i\` shows them.`,
    cause: error,
  });
}

async function unpackWithNode(
  archive: Readable,
  guarded: Transform,
  directory: string,
  { owners, named, outsideLinks, signal }: UnpackOptions,
): Promise<void> {
  // `strict` turns node-tar's warnings, which are entries it did not extract, into errors.
  // Links that lead out are all or nothing to node-tar (preservePaths); what may not pass was refused by the guard before.
  const unpack = extract({
    cwd: directory,
    strict: true,
    preserveOwner: owners,
    preservePaths: outsideLinks === true,
    onReadEntry: (entry) => {
      // Until everything is in it.
      if (entry.type === 'Directory') entry.mode = 0o700;
    },
  });
  await pipeline(archive, guarded, unpack, signal ? { signal } : {}).catch((error: unknown) => {
    signal?.throwIfAborted();
    if (error instanceof HoldfastError) throw error;
    throw new HoldfastError('DumpFailed', `unpacking into ${named} failed: ${messageOf(error)}`, {
      advice: adviceOnUnpacking(error, named),
      cause: error,
    });
  });
}

/** Of a directory that it could not make node-tar says only that it is not there. */
function adviceOnUnpacking(error: unknown, directory: string): string {
  const advice = codeOf(error) === 'ENOENT' ? undefined : systemAdvice(error);
  const above = dirname(directory);
  return (
    advice ?? `Check that this user may write to ${above}, and that there is room: \`df ${above}\`, \`df -i ${above}\`.`
  );
}

/**
 * Modes as they are in the archive, whatever this process's umask is, and what directories lose while they are filled. From
 * the deepest to the root: what is put into a directory changes its time, and its mode may forbid it.
 */
async function finishEntries(root: string, entries: readonly TarEntry[], owners: boolean): Promise<void> {
  for (const { kind, path, mode, uid, gid, modified } of entries.toReversed()) {
    await atLongPath(bytePath(root, path), async (at) => {
      if (kind === 'directory' && owners) await chown(at, uid, gid);
      await chmod(at, mode);
      if (kind === 'directory') await utimes(at, modified / 1000, modified / 1000);
    });
  }
}

async function clearSetIds(root: string, entries: readonly TarEntry[]): Promise<PathList> {
  const cleared = createPathCollector();
  const clear = async (entry: TarEntry, at: Buffer) => {
    const mode = restoredMode(entry, await lstat(at));
    if (mode === entry.mode) return;
    await chmod(at, mode);
    cleared.add(entry.path);
  };
  for (const entry of entries)
    await atLongPath(bytePath(root, entry.path), (at) => clear(entry, at)).catch((error: unknown) => {
      // Behind a directory that keeps its owner out: nobody comes to it before that is opened.
      if (codeOf(error) !== 'EACCES') throw error;
    });
  return cleared.list();
}

function sparseNeedsTar(): HoldfastError {
  return new HoldfastError('ToolMissing', 'the archive holds sparse files, which only GNU tar can unpack', {
    advice: 'Install GNU tar 1.28 or newer on this host and put it on PATH.',
  });
}

/** Hands on what the judge keeps, and only after it was judged. */
function guardedStream(judge: (entry: TarEntry) => 'keep' | 'drop', atEnd: () => void): Transform {
  const end = () => {
    reader.end();
    atEnd();
  };
  const guarded = new Transform({
    transform: (chunk: Buffer, _encoding, done) => attempt(() => reader.push(chunk), done),
    flush: (done) => attempt(end, done),
  });
  const reader = createTarReader({
    onEntry: judge,
    attributes: true,
    forward: (bytes) => guarded.push(bytes),
    damaged: archiveDamaged,
  });
  return guarded;
}

function attempt(step: () => void, done: (error?: Error | null) => void): void {
  try {
    step();
  } catch (error) {
    done(error as Error);
    return;
  }
  done();
}
