import { isUtf8 } from 'node:buffer';
import type { BigIntStats } from 'node:fs';
import { constants } from 'node:fs';
import { open, readlink, type FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { Header, Pax, type HeaderData } from 'tar';
import type { FileTreeConfiguration } from '../config/sourceSchema.ts';
import { codeOf, HoldfastError } from '../errors.ts';
import { excludedOf } from './excludes.ts';
import type { RunningArchive, TreeNotes } from './treeNotes.ts';
import { atLongPath } from './longPaths.ts';
import { bytePath, walkTree, type WalkedEntry } from './walkTree.ts';

/**
 * Archives a tree where no GNU tar is installed. Kept: hard links, modes, numeric owners. Skipped, and noted: sockets,
 * FIFOs, devices, and names that are not UTF-8 (node-tar writes text only). Holes are written as zeros; extended
 * attributes and ACLs are not kept.
 *
 * The headers are node-tar's. Its own Pack is not used: it gives up at the first file that vanishes or cannot be read,
 * and leaves a broken archive behind when one shrinks.
 */
export function archiveWithNode(
  configuration: FileTreeConfiguration,
  notes: TreeNotes,
  options: { readonly stallTimeout: number; readonly signal: AbortSignal },
): RunningArchive {
  const blocks = endOnStall(archiveBlocks(configuration, notes), options.stallTimeout, configuration.path);
  const stream = Readable.from(blocks, { objectMode: false, signal: options.signal });
  const end = finished(stream).catch((error: unknown) => {
    throw options.signal.aborted ? options.signal.reason : error;
  });
  // The stream's reader sees the failure first; whoever awaits `finished` learns why.
  end.catch(() => undefined);
  return { output: stream, finished: end };
}

const READ_BYTES = 256 * 1024;
const BLOCK = 512;

async function* archiveBlocks(configuration: FileTreeConfiguration, notes: TreeNotes): AsyncGenerator<Buffer> {
  const root = configuration.path;
  /** First path of every file that has several names. */
  const linked = new Map<string, string>();
  const onTrouble = (path: string, error: unknown) => noteTrouble(path, error, notes);

  for await (const entry of walkTree({ path: root, exclude: excludedOf(configuration), onTrouble })) {
    const { path, stats } = entry;
    if (!isUtf8(Buffer.from(path, 'latin1'))) {
      notes.skipped.add(path);
    } else if (stats.isDirectory()) {
      yield header(entry, { type: 'Directory', path: `${textOf(path)}/` });
    } else if (stats.isSymbolicLink()) {
      const target = await atLongPath(bytePath(root, path), (at) => readlink(at, { encoding: 'latin1' })).catch(
        (error: unknown) => {
          onTrouble(path, error);
        },
      );
      if (target !== undefined) yield header(entry, { type: 'SymbolicLink', linkpath: textOf(target) });
    } else if (stats.isFile()) {
      const inode = `${stats.dev}:${stats.ino}`;
      const firstName = linked.get(inode);
      if (firstName !== undefined) {
        yield header(entry, { type: 'Link', linkpath: textOf(firstName) });
      } else {
        if (stats.nlink > 1n) linked.set(inode, path);
        yield* fileBlocks(root, path, notes);
      }
    } else {
      notes.skipped.add(path);
    }
  }
  yield Buffer.alloc(2 * BLOCK);
}

async function* fileBlocks(root: string, path: string, notes: TreeNotes): AsyncGenerator<Buffer> {
  let file: FileHandle;
  try {
    file = await atLongPath(bytePath(root, path), (at) => open(at, constants.O_RDONLY | constants.O_NOFOLLOW));
  } catch (error) {
    noteTrouble(path, error, notes);
    return;
  }
  try {
    const stats = await file.stat({ bigint: true });
    const size = Number(stats.size);
    yield header({ path, stats }, { type: 'File', size });
    yield* exactBytes(file, size, path, notes);
    yield Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
    if (hasChanged(stats, await file.stat({ bigint: true }))) notes.changed.add(path);
  } finally {
    await file.close();
  }
}

/** As many bytes as the header promised: what is missing at the end is made up with zeros, as GNU tar does. */
async function* exactBytes(file: FileHandle, size: number, path: string, notes: TreeNotes): AsyncGenerator<Buffer> {
  let position = 0;
  while (position < size) {
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size - position));
    let bytesRead = 0;
    try {
      ({ bytesRead } = await file.read(buffer, 0, buffer.length, position));
      if (bytesRead === 0) notes.changed.add(path);
    } catch (error) {
      noteTrouble(path, error, notes);
    }
    if (bytesRead === 0) break;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
  while (position < size) {
    const zeros = Buffer.alloc(Math.min(READ_BYTES, size - position));
    position += zeros.length;
    yield zeros;
  }
}

function header({ path, stats }: WalkedEntry, data: HeaderData): Buffer {
  const fields: HeaderData = {
    path: textOf(path),
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtime: new Date(Number(stats.mtimeMs)),
    size: 0,
    ...data,
  };
  const block = Buffer.alloc(BLOCK);
  const plain = new Header(fields);
  plain.encode(block);
  return plain.needPax ? Buffer.concat([new Pax(fields).encode(), block]) : block;
}

function hasChanged(before: BigIntStats, after: BigIntStats): boolean {
  return before.size !== after.size || before.mtimeNs !== after.mtimeNs || before.ctimeNs !== after.ctimeNs;
}

function noteTrouble(path: string, error: unknown, notes: TreeNotes): void {
  if (codeOf(error) === undefined) throw error;
  (codeOf(error) === 'ENOENT' ? notes.vanished : notes.unreadable).add(path);
}

function textOf(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}

/** Gives up when a single step takes too long, as a read from a file server that is gone does. */
async function* endOnStall(blocks: AsyncGenerator<Buffer>, timeout: number, path: string): AsyncGenerator<Buffer> {
  for (;;) {
    const next = await withinTime(blocks.next(), timeout, path);
    if (next.done) return;
    yield next.value;
  }
}

async function withinTime<T>(step: Promise<T>, timeout: number, path: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(
      new HoldfastError('Stalled', `reading ${path} made no progress for ${Math.round(timeout / 1000)} s`, {
        advice: 'Look for a file server that does not answer, or raise stallTimeout in the plan.',
      }),
    );
  }, timeout);
  try {
    return await Promise.race([step, late]);
  } finally {
    clearTimeout(timer);
  }
}
