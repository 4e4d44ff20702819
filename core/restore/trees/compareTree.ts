import type { BigIntStats } from 'node:fs';
import { lstat, readlink } from 'node:fs/promises';
import { codeOf, HoldfastError, messageOf } from '../../errors.ts';
import type { PathList } from '../../backup/part.ts';
import { createArchiveGuard } from '../../files/archiveGuard.ts';
import { longestPathOf } from '../../files/extractArchive.ts';
import { hashFile } from '../../files/hashFile.ts';
import { atLongPath } from '../../files/longPaths.ts';
import { pinDirectory, type PinnedDirectory } from '../../files/pinnedDirectory.ts';
import { createArchiveLimit } from '../../files/archiveLimit.ts';
import { archiveContents, type ArchiveContent } from '../../files/archiveContents.ts';
import { printablePath } from '../../files/paths.ts';
import { restoredMode } from '../../files/setIds.ts';
import { plainName, selectPaths, type PathSelection } from '../../files/pathSelection.ts';
import type { TarEntry } from '../../files/tarReader.ts';
import { bytePath, walkTree } from '../../files/walkTree.ts';
import { cutList } from '../../postgres/identifiers.ts';
import type { ManifestPart } from '../../repository/manifest.ts';
import { mapInOrder } from '../../seal/inOrder.ts';
import type { Backend } from '../../storage/backend.ts';
import { readingAhead } from '../../storage/readAhead.ts';
import { createAttributeComparison, type AttributeComparison } from './compareAttributes.ts';
import { fromGoodCopy } from '../choose/fromGoodCopy.ts';
import { treeArchive } from './restoreTree.ts';
import { createSight, type Sight } from './sight.ts';
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
  // Whatever is put under its name meanwhile: what is looked at is what was unpacked.
  const pinned = await pinDirectory(options.directory).catch((error: unknown) => refuseTrouble('.', error));
  const held = { ...options, directory: pinned.at };
  const compare = (backend: Backend) => compareWithCopy(held, part, readingAhead(backend));
  const { result, backend, passedOver } = await whileOpen(pinned, () => fromGoodCopy(copies, compare, signal));
  const duration = Math.round(performance.now() - begun);
  const { labels, otherNames, ...compared } = result;
  return {
    tree,
    ...compared,
    notices: [...treeNotices(part), ...nameNotices(otherNames), ...labelNotices(labels)],
    backend,
    passedOver,
    duration,
  };
}

async function whileOpen<Result>(pinned: PinnedDirectory, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } finally {
    await pinned.close();
  }
}

type Compared = Pick<
  TreeComparison,
  'equal' | 'differences' | 'differenceCount' | 'compared' | 'lost' | 'notCompared'
> & {
  readonly labels: LostAttributes | undefined;
  readonly otherNames: PathList | undefined;
};

async function compareWithCopy(options: CompareTreeOptions, part: ManifestPart, backend: Backend): Promise<Compared> {
  const first = await compareOnce(options, part, backend, []);
  const missing = first.selection?.missingContents() ?? [];
  // Of a wanted name that is a further one of a file, the contents stand in the archive under its first.
  const { found, selection, attributes, sight, entries, files, bytes } =
    missing.length === 0 ? first : await compareOnce(options, part, backend, missing);
  if ((await countEntries(options, sight)) !== entries - sight.unseen())
    await nameSurplus(options, part, backend, { contents: missing, sight }, found);
  const { differences, count } = found.list();
  const compared = { entries, files, bytes };
  const notCompared = sight.list();
  return {
    equal: count === 0,
    differences,
    differenceCount: count,
    compared,
    notCompared,
    otherNames: selection?.otherNames(),
    ...attributes,
  };
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
  const sight = createSight();
  const isExtra = new Set(contents);
  /** Hashes of contents whose own name was not restored. */
  const hashes = new Map<string, ArchiveContent>();
  async function* expected(): AsyncGenerator<ArchiveContent> {
    for await (const content of archiveContents(treeArchive(options, part, backend), wants)) {
      const name = plainName(content.entry.path);
      sight.meet(content.entry);
      if (isExtra.has(name)) {
        hashes.set(name, content);
        continue;
      }
      const source = content.entry.kind === 'hardlink' ? hashes.get(plainName(content.entry.linkPath)) : undefined;
      yield source ? { ...source, entry: { ...source.entry, path: content.entry.path } } : content;
    }
  }
  const attributes = createAttributeComparison(options, found);
  const compare = async (content: ArchiveContent) => {
    // A directory above what is wanted came along for its sake.
    const whole = selection === undefined || selection.holds(plainName(content.entry.path));
    const say = { differs: found, attributes, sight };
    await compareEntry(directory, content, whole, options, say);
    return { entry: content.entry, whole };
  };
  let [entries, files, bytes] = [0, 0, 0];
  for await (const { entry, whole } of mapInOrder(expected(), FILES_AT_ONCE, compare)) {
    if (whole) await attributes.add(entry);
    entries += 1;
    if (entry.kind === 'file') files += 1;
    bytes += entry.bytes;
  }
  return { found, selection, sight, attributes: await attributes.end(), entries, files, bytes };
}

/** What is put in place under one name leaves the others what they are. */
function nameNotices(names: PathList | undefined): string[] {
  if (names === undefined || names.count === 0) return [];
  return [
    `in the backup the files that were restored have ${names.count} other names (hard links), which were not restored: ${cutList(names.paths, names.count)}`,
  ];
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
    longestPath: longestPathOf(tar),
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
  { differs, attributes, sight }: Findings,
): Promise<void> {
  const at = bytePath(directory, plainName(entry.path));
  if (await sight.isHidden(entry, () => lookAt(at))) return;
  const stats = await lookAt(at);
  const say = (what: string, expected: string, actual: string) => differs.add(entry, what, expected, actual);
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
    const target = await atLongPath(at, (reached) => readlink(reached, { encoding: 'latin1' }));
    if (target !== entry.linkPath) say('target', printablePath(entry.linkPath), printablePath(target));
  }
  if (entry.kind === 'file' && !(await sight.isClosed(entry, () => hashFile(at))))
    await compareContents(at, entry, sha256, stats, say);
  if (whole) compareAttributes(entry, stats, options, say, attributes);
}

interface Findings {
  readonly differs: DifferenceList;
  readonly attributes: AttributeComparison;
  readonly sight: Sight;
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

function compareAttributes(
  entry: TarEntry,
  stats: BigIntStats,
  { tar, owners }: CompareTreeOptions,
  say: Say,
  attributes: AttributeComparison,
): void {
  const link = entry.kind === 'symlink';
  const mode = Number(stats.mode & 0o7777n);
  const expected = restoredMode(entry, stats);
  if (!link && mode !== expected) say('mode', octal(expected), octal(mode));
  if (expected !== entry.mode) attributes.lose(entry, 'set-user-ID or set-group-ID', FOREIGN);
  const modified = Number(stats.mtimeNs) / 1e6;
  if ((!link || tar !== undefined) && Math.abs(modified - entry.modified) > SAME_TIME)
    say('time', timeText(entry.modified), timeText(modified));
  const owner = `${stats.uid}:${stats.gid}`;
  if ((owners ?? process.getuid?.() === 0) && owner !== `${entry.uid}:${entry.gid}`)
    say('owner', `${entry.uid}:${entry.gid}`, owner);
}

const FOREIGN = 'it would run as who restored it, not as whom it belonged to';

async function countEntries({ directory }: CompareTreeOptions, sight: Sight): Promise<number> {
  const walk = walkRestored(directory, sight);
  for (let entries = 0; ; entries += 1) if ((await walk.next()).done) return entries;
}

/** Only now, when something is there that should not be, are all names of the archive remembered. */
async function nameSurplus(
  options: CompareTreeOptions,
  part: ManifestPart,
  backend: Backend,
  { contents, sight }: { readonly contents: readonly string[]; readonly sight: Sight },
  found: DifferenceList,
): Promise<void> {
  const { wants } = restoredEntries(options, part, contents);
  const names = new Set<string>();
  for await (const { entry } of archiveContents(treeArchive(options, part, backend), wants))
    if (!contents.includes(plainName(entry.path))) names.add(plainName(entry.path));
  for await (const { path, stats } of walkRestored(options.directory, sight))
    if (!names.has(plainName(path))) found.add({ path, kind: kindOf(stats) }, 'presence', 'not there', 'there');
}

function walkRestored(path: string, sight: Sight) {
  const onTrouble = (at: string, error: unknown) => {
    if (codeOf(error) !== 'EACCES' || !sight.forgives(at)) refuseTrouble(at, error);
  };
  return walkTree({ path, exclude: [], onTrouble });
}

function refuseTrouble(path: string, error: unknown): never {
  const message = `${printablePath(path)} of the restored tree cannot be read: ${messageOf(error)}`;
  throw new HoldfastError('RestoreFailed', message, {
    advice: 'Restore as root, whom no mode keeps out.',
    cause: error,
  });
}

async function lookAt(file: Buffer): Promise<BigIntStats | undefined> {
  try {
    return await atLongPath(file, (at) => lstat(at, { bigint: true }));
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
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
