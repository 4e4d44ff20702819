import { createHash } from 'node:crypto';
import { constants, type BigIntStats } from 'node:fs';
import { lstat, open, readlink } from 'node:fs/promises';
import { codeOf, HoldfastError, messageOf } from '../errors.ts';
import { createArchiveGuard } from '../files/archiveGuard.ts';
import { createArchiveLimit } from '../files/archiveLimit.ts';
import { archiveContents, type ArchiveContent } from '../files/archiveContents.ts';
import { printablePath } from '../files/paths.ts';
import { plainName, selectPaths, type PathSelection } from '../files/pathSelection.ts';
import type { TarEntry } from '../files/tarReader.ts';
import { bytePath, walkTree } from '../files/walkTree.ts';
import { cutList } from '../postgres/identifiers.ts';
import type { ManifestPart } from '../repository/manifest.ts';
import { mapInOrder } from '../seal/inOrder.ts';
import type { Backend } from '../storage/backend.ts';
import { readingAhead } from '../storage/readAhead.ts';
import { createAttributeComparison } from './compareAttributes.ts';
import { fromGoodCopy } from './fromGoodCopy.ts';
import { treeArchive } from './restoreTree.ts';
import { collectDifferences, type DifferenceList } from './treeDifferences.ts';
import { treeNamed, treeNotices } from './treeParts.ts';
import type { CompareTreeOptions, LostAttributes, TreeComparison } from './trees.ts';

/**
 * Holds a restored tree against the backup it came from, entry by entry: the archive is read once more, from the first
 * copy that is good to its end, and every name, kind, mode, owner, time, target of a link, extended attribute and ACL,
 * and every byte of contents is compared with what is in the directory, as far as `restoreTree` with the same settings
 * restores it. Changes nothing; memory does not grow with the tree.
 */
export async function compareTree(options: CompareTreeOptions): Promise<TreeComparison> {
  const { tree, manifest, copies, signal } = options;
  const part = treeNamed(manifest, tree);
  const begun = performance.now();
  const compare = (backend: Backend) => compareWithCopy(options, part, readingAhead(backend));
  const { result, backend, passedOver } = await fromGoodCopy(copies, compare, signal);
  const duration = Math.round(performance.now() - begun);
  const { labels, ...compared } = result;
  return { tree, ...compared, notices: [...treeNotices(part), ...labelNotices(labels)], backend, passedOver, duration };
}

type Compared = Pick<TreeComparison, 'equal' | 'differences' | 'differenceCount' | 'compared' | 'lost'> & {
  readonly labels: LostAttributes | undefined;
};

async function compareWithCopy(options: CompareTreeOptions, part: ManifestPart, backend: Backend): Promise<Compared> {
  const first = await compareOnce(options, part, backend, []);
  const missing = first.selection?.missingContents() ?? [];
  // Of a wanted name that is a further one of a file, the contents stand in the archive under its first.
  const { found, attributes, entries, files, bytes } =
    missing.length === 0 ? first : await compareOnce(options, part, backend, missing);
  if ((await countEntries(options)) !== entries) await nameSurplus(options, part, backend, missing, found);
  const { differences, count } = found.list();
  const compared = { entries, files, bytes };
  return { equal: count === 0, differences, differenceCount: count, compared, ...attributes };
}

/** One waits for the disk while others are hashed. */
const FILES_AT_ONCE = 4;

async function compareOnce(
  options: CompareTreeOptions,
  part: ManifestPart,
  backend: Backend,
  contents: readonly string[],
) {
  const { directory } = options;
  const { wants, selection } = restoredEntries(options, part, contents);
  const found = collectDifferences();
  const attributes = createAttributeComparison(options, found);
  const isExtra = new Set(contents);
  /** Hashes of contents whose own name was not restored. */
  const hashes = new Map<string, ArchiveContent>();
  async function* expected(): AsyncGenerator<ArchiveContent> {
    for await (const content of archiveContents(treeArchive(options, part, backend), wants)) {
      const name = plainName(content.entry.path);
      if (isExtra.has(name)) {
        hashes.set(name, content);
        continue;
      }
      const source = content.entry.kind === 'hardlink' ? hashes.get(plainName(content.entry.linkPath)) : undefined;
      yield source ? { ...source, entry: { ...source.entry, path: content.entry.path } } : content;
    }
  }
  const compare = async (content: ArchiveContent) => {
    // A directory above what is wanted came along for its sake.
    const whole = selection === undefined || selection.holds(plainName(content.entry.path));
    await compareEntry(directory, content, whole, options, found);
    return { entry: content.entry, whole };
  };
  let [entries, files, bytes] = [0, 0, 0];
  for await (const { entry, whole } of mapInOrder(expected(), FILES_AT_ONCE, compare)) {
    if (whole) await attributes.add(entry);
    entries += 1;
    if (entry.kind === 'file') files += 1;
    bytes += entry.bytes;
  }
  return { found, selection, attributes: await attributes.end(), entries, files, bytes };
}

function labelNotices(labels: LostAttributes | undefined): string[] {
  if (!labels) return [];
  return [
    `${labels.count} security labels are not those of the backup, ${labels.reason}: ${cutList(labels.paths, labels.count)}`,
  ];
}

/** Which entries of the archive a restore with these settings writes. */
function restoredEntries(options: CompareTreeOptions, part: ManifestPart, contents: readonly string[]) {
  const { paths = [], tar, outsideLinks, specialFiles } = options;
  const selection: PathSelection | undefined = paths.length > 0 ? selectPaths(paths, contents) : undefined;
  const guard = createArchiveGuard({
    outsideLinks: outsideLinks === true,
    specialFiles: specialFiles === true && process.getuid?.() === 0 && tar !== undefined,
  });
  const limit = createArchiveLimit(part.tree);
  const wants = (entry: TarEntry) => {
    limit.add(entry);
    return guard.judge(entry, selection?.wants(entry) ?? true);
  };
  return { wants, selection };
}

async function compareEntry(
  directory: string,
  { entry, sha256 }: ArchiveContent,
  whole: boolean,
  options: CompareTreeOptions,
  found: DifferenceList,
): Promise<void> {
  const at = bytePath(directory, plainName(entry.path));
  const stats = await lookAt(at);
  const say = (what: string, expected: string, actual: string) => found.add(entry, what, expected, actual);
  if (stats === undefined) return say('presence', 'there', 'missing');
  const kind = kindOf(stats);
  if (entry.kind === 'hardlink') {
    const target = await lookAt(bytePath(directory, plainName(entry.linkPath)));
    const same = target !== undefined && target.ino === stats.ino && target.dev === stats.dev;
    if (!same) say('target', printablePath(entry.linkPath), 'a file of its own');
    return;
  }
  if (kind !== entry.kind) return say('kind', entry.kind, kind);
  if (entry.kind === 'symlink') {
    const target = await readlink(at, { encoding: 'latin1' });
    if (target !== entry.linkPath) say('target', printablePath(entry.linkPath), printablePath(target));
  }
  if (entry.kind === 'file') await compareContents(at, entry, sha256, stats, say);
  if (whole) compareAttributes(entry, stats, options, say);
}

type Say = (what: string, expected: string, actual: string) => void;

async function compareContents(at: Buffer, entry: TarEntry, sha256: string, stats: BigIntStats, say: Say) {
  if (Number(stats.size) !== entry.bytes) return say('contents', `${entry.bytes} bytes`, `${stats.size} bytes`);
  try {
    const actual = await hashFile(at);
    if (actual !== sha256) say('contents', `SHA-256 ${sha256}`, `SHA-256 ${actual}`);
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
    say('contents', `SHA-256 ${sha256}`, `cannot be read: ${messageOf(error)}`);
  }
}

/** Milliseconds: node-tar cuts what is finer. It also keeps no times of links. */
const SAME_TIME = 1;

function compareAttributes(entry: TarEntry, stats: BigIntStats, { tar, owners }: CompareTreeOptions, say: Say): void {
  const link = entry.kind === 'symlink';
  const mode = Number(stats.mode & 0o7777n);
  if (!link && mode !== entry.mode) say('mode', octal(entry.mode), octal(mode));
  const modified = Number(stats.mtimeNs) / 1e6;
  if ((!link || tar !== undefined) && Math.abs(modified - entry.modified) > SAME_TIME)
    say('time', timeText(entry.modified), timeText(modified));
  const owner = `${stats.uid}:${stats.gid}`;
  if ((owners ?? process.getuid?.() === 0) && owner !== `${entry.uid}:${entry.gid}`)
    say('owner', `${entry.uid}:${entry.gid}`, owner);
}

async function countEntries({ directory }: CompareTreeOptions): Promise<number> {
  const walk = walkRestored(directory);
  for (let entries = 0; ; entries += 1) if ((await walk.next()).done) return entries;
}

/** Only now, when something is there that should not be, are all names of the archive remembered. */
async function nameSurplus(
  options: CompareTreeOptions,
  part: ManifestPart,
  backend: Backend,
  contents: readonly string[],
  found: DifferenceList,
): Promise<void> {
  const { wants } = restoredEntries(options, part, contents);
  const names = new Set<string>();
  for await (const { entry } of archiveContents(treeArchive(options, part, backend), wants))
    if (!contents.includes(plainName(entry.path))) names.add(plainName(entry.path));
  for await (const { path, stats } of walkRestored(options.directory))
    if (!names.has(plainName(path))) found.add({ path, kind: kindOf(stats) }, 'presence', 'not there', 'there');
}

function walkRestored(path: string) {
  return walkTree({ path, exclude: [], onTrouble: refuseTrouble });
}

function refuseTrouble(path: string, error: unknown): never {
  const message = `${printablePath(path)} of the restored tree cannot be read: ${messageOf(error)}`;
  throw new HoldfastError('RestoreFailed', message, { advice: 'Compare as the user that restored it.', cause: error });
}

async function lookAt(file: Buffer): Promise<BigIntStats | undefined> {
  try {
    return await lstat(file, { bigint: true });
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

const READ_BYTES = 2 ** 20;

async function hashFile(file: Buffer): Promise<string> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}

function kindOf(stats: BigIntStats): string {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isFIFO()) return 'fifo';
  return stats.isSocket() ? 'socket' : 'device';
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

function timeText(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
