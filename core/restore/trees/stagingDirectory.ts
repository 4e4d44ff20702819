import { createHash, randomBytes } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { lstat, mkdir, open, readdir, readFile, readlink, rename, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { codeOf, HoldfastError, messageOf } from '../../errors.ts';
import { STAGING_PREFIX } from '../../files/excludes.ts';
import { atLongPath } from '../../files/longPaths.ts';
import { pinDirectory, type PinnedDirectory } from '../../files/pinnedDirectory.ts';
import { emptyTree, removeTree } from '../../files/removeTree.ts';
import { explaining, systemAdvice } from '../../systemErrors.ts';
import { toldByName } from './toldByName.ts';
import type { RestoredTree, TreeLeftOver, TreePlace } from './trees.ts';

/*
 * While a tree is restored it lives in a staging directory of its own, mode 0700, on the file system it is for:
 *
 *     .holdfast-restoring-<tree>-<hash of the mark>/
 *         place.json       whose it is, and that it is no copy; written before anything else
 *         <try>.partial/   a try at work
 *         tree/            unpacked and good, until it is put in place
 *         restored.json    what restoreTree answered; from then on `tree` is whole
 *         moves.json       what placeTree set out to move; see placeTree.ts
 *         takenBack.json   the same, once all of it is taken back; see takingBack.ts
 *
 * Whoever owns a tree may put whatever they like under that name: see begunStaging.
 */

const PLACE = 'place.json';

export interface Staging {
  readonly directory: string;
  readonly tree: string;
  readonly restored: string;
  readonly moves: string;
  readonly takenBack: string;
}

/** One that was begun, by its handle: whoever owns what it stands in can put something else under its name at any time. */
export interface OpenStaging {
  /** By its name: for messages, and what is written down. */
  readonly named: Staging;
  /** By its handle: for everything that is done in it. */
  readonly own: Staging;
  readonly pinned: PinnedDirectory;
  /** The directory that it stands in, and that all it is for is put into. */
  readonly holder: PinnedDirectory;
}

/** Where the parts of a restore are kept until they are in place. Looks at nothing but symbolic links. */
export async function stagingOf(place: TreePlace): Promise<Staging> {
  const root = await rootOf(place);
  // What takes the place of single files has to be on their file system, which may be mounted at the tree itself.
  const holder = isPartInPlace(place) ? root : path.dirname(root);
  const hash = createHash('sha256').update(place.mark).digest('hex').slice(0, 16);
  return stagingIn(path.join(holder, `${STAGING_PREFIX}${place.tree}-${hash}`));
}

function stagingIn(directory: string): Staging {
  const inside = (name: string) => path.join(directory, name);
  return {
    directory,
    tree: inside('tree'),
    restored: inside('restored.json'),
    moves: inside('moves.json'),
    takenBack: inside('takenBack.json'),
  };
}

/**
 * The staging directory of a restore that was begun; undefined where there is none. Only what this very user made there is
 * believed: what it says is done, by root often, and it ends by being removed. Throws RefusedForSafety for anything else
 * of that name: a link, a directory of somebody else's or open to others, a copy of one (from a backup, say).
 */
export async function begunStaging(place: TreePlace): Promise<Staging | undefined> {
  return withStaging(place, async (staging) => staging?.named);
}

/**
 * Does something in the staging directory that `begunStaging` tells of, and in no other. What fails there is told by its
 * names, and what the system refuses there becomes RestoreFailed.
 */
export async function withStaging<Result>(
  place: TreePlace,
  work: (staging: OpenStaging | undefined) => Promise<Result>,
): Promise<Result> {
  const named = await stagingOf(place);
  const found = await lookAt(named.directory);
  if (found === undefined) return work(undefined);
  if (!isPrivate(found)) throw notOurs(named.directory);
  const pinned = await pinDirectory(named.directory).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw notOurs(named.directory);
  });
  if (pinned === undefined) return work(undefined);
  try {
    await assertOurs(pinned, named.directory);
    const holder = await pinDirectory(`${pinned.at}/..`);
    try {
      return await work({ named, own: stagingIn(pinned.at), pinned, holder });
    } catch (error) {
      throw toldByName(error, named.directory, [
        [pinned.at, named.directory],
        [holder.at, path.dirname(named.directory)],
      ]);
    } finally {
      await holder.close();
    }
  } finally {
    await pinned.close();
  }
}

async function assertOurs({ at }: PinnedDirectory, name: string): Promise<void> {
  const found = await lookAt(`${at}/.`);
  if (found === undefined || !isPrivate(found)) throw notOurs(name);
  const record = placeSchema.safeParse(await readRecord(path.join(at, PLACE), path.join(name, PLACE)));
  // One that was killed before it wrote that has nothing else in it.
  if (record.success && record.data.inode !== String(found.ino)) throw notOurs(name);
}

function isPrivate(found: BigIntStats): boolean {
  const { uid, mode } = found;
  return found.isDirectory() && uid === BigInt(process.getuid?.() ?? uid) && (mode & 0o777n) === 0o700n;
}

function notOurs(directory: string): HoldfastError {
  return new HoldfastError(
    'RefusedForSafety',
    `${directory} is there, and was not made by a restore of this user here`,
    {
      advice: 'Find out who put it there; look at what it is (ls -la) and move it away or remove it.',
    },
  );
}

/** Whether every path is put in place by itself. */
export function isPartInPlace({ mode, paths = [] }: TreePlace): boolean {
  return mode === 'in-place' && paths.length > 0;
}

const MOST_LINKS = 40;

/** The tree's own path, with a symbolic link at its end followed, whether or not anything is there. */
export async function rootOf(place: Pick<TreePlace, 'path'>): Promise<string> {
  let at = path.resolve(place.path);
  for (let links = 0; links < MOST_LINKS; links += 1) {
    const target = await readlink(at).catch(() => undefined);
    if (target === undefined) return at;
    at = path.resolve(path.dirname(at), target);
  }
  throw new HoldfastError('InvalidInput', `${place.path} is a loop of symbolic links`, {
    advice: 'Correct the path of the tree.',
  });
}

/** Does something in the staging directory of a restore, which is made where it is not there yet. Throws RestoreFailed, RefusedForSafety. */
export async function inStaging<Result>(
  place: TreePlace,
  work: (staging: OpenStaging) => Promise<Result>,
): Promise<Result> {
  const { directory } = await stagingOf(place);
  await mkdir(directory, { mode: 0o700 }).catch((cause: unknown) => {
    if (codeOf(cause) !== 'EEXIST') throw unwritable(directory, cause);
  });
  return withStaging(place, async (staging) => {
    if (staging === undefined) throw unwritable(directory, 'it vanished');
    return work(staging);
  });
}

/** Makes a new directory for one try and gives it, by its handle. Removes those of others. Throws RestoreFailed. */
export async function beginTry(place: TreePlace, { named, own }: OpenStaging): Promise<string> {
  const made = await lookAt(`${own.directory}/.`);
  if (made === undefined) throw unwritable(named.directory, 'it vanished');
  await writeRecord(path.join(own.directory, PLACE), { ...place, inode: String(made.ino) });
  const attempt = `${randomBytes(4).toString('hex')}.partial`;
  await mkdir(path.join(own.directory, attempt), { mode: 0o700 });
  for (const name of await readdir(own.directory))
    if (name.endsWith('.partial') && name !== attempt) await discard(path.join(own.directory, name));
  await discard(own.tree);
  return path.join(own.directory, attempt);
}

/** Removes what a failed try has made. What another try of the same restore has made meanwhile stays. */
export async function endTry(staging: OpenStaging, attempt: string): Promise<void> {
  await discard(attempt);
  const left = await readdir(staging.own.directory).catch(() => []);
  if (left.every((name) => name === PLACE)) await discardStaging(staging);
}

/** What an earlier try of this restore finished, if it did. */
export async function finishedTry(place: TreePlace): Promise<RestoredTree | undefined> {
  return withStaging(
    place,
    async (staging) =>
      staging && ((await readRecord(staging.own.restored, staging.named.restored)) as RestoredTree | undefined),
  );
}

/** Removes a staging directory and all in it. Throws RestoreFailed. */
export async function discardStaging({ named, own, holder }: OpenStaging): Promise<void> {
  try {
    await emptyTree(own.directory);
    await rmdir(path.join(holder.at, path.basename(named.directory)));
  } catch (cause) {
    if (codeOf(cause) !== 'ENOENT') throw unwritable(named.directory, cause);
  }
}

/**
 * Restores under this path that were begun and neither ended nor cleaned up: for a sweep, which knows which runs live.
 * `root`: the configured path of a tree. What no restore of this user made there is passed over.
 */
export async function findTreeLeftOvers(root: string): Promise<TreeLeftOver[]> {
  const at = await rootOf({ path: root });
  const found: TreeLeftOver[] = [];
  for (const holder of [path.dirname(at), at]) {
    const names = await readdir(holder).catch(() => []);
    for (const name of names.filter((each) => each.startsWith(STAGING_PREFIX))) {
      const place = await leftBehind(path.join(holder, name), at);
      if (place) found.push({ directory: path.join(holder, name), place });
    }
  }
  return found;
}

/** Undefined for one of another tree or somebody else's, and one that was killed before it held anything. */
async function leftBehind(directory: string, root: string): Promise<TreePlace | undefined> {
  const made = await lookAt(directory);
  if (made === undefined || !isPrivate(made)) return undefined;
  const parsed = placeSchema.safeParse(await readRecord(path.join(directory, PLACE)).catch(() => undefined));
  if (!parsed.success) return undefined;
  const { inode, ...place } = parsed.data;
  if (inode !== String(made.ino) || (await rootOf(place)) !== root) return undefined;
  return (await stagingOf(place)).directory === directory ? place : undefined;
}

const placeSchema = z.strictObject({
  tree: z.string(),
  path: z.string(),
  mode: z.enum(['new', 'beside', 'in-place']),
  id: z.string(),
  mark: z.string(),
  paths: z.array(z.string()).optional(),
  /** Of the staging directory: a copy of it is none. */
  inode: z.string(),
});

/** Writes a small document so that it is there as a whole or not at all, also after a power cut. */
export async function writeRecord(file: string, document: unknown): Promise<void> {
  const partial = `${file}.${randomBytes(4).toString('hex')}`;
  await explaining({ where: file, type: 'RestoreFailed' }, async () => {
    const handle = await open(partial, 'wx', 0o600);
    try {
      await handle.writeFile(JSON.stringify(document));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, file);
    await syncDirectory(path.dirname(file));
  });
}

/** What `writeRecord` wrote; undefined where it did not. Throws RefusedForSafety, with its name, for what it did not write. */
export async function readRecord(file: string, name = file): Promise<unknown> {
  let written: string;
  try {
    written = await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
  try {
    return JSON.parse(written);
  } catch (cause) {
    throw recordDamaged(name, messageOf(cause), cause);
  }
}

/** A restore's own record that cannot be gone by: what was moved, and whether, is for a person to find out. */
export function recordDamaged(file: string, why: string, cause?: unknown): HoldfastError {
  return new HoldfastError('RefusedForSafety', `${file}, a record of a restore that did not end, is damaged: ${why}`, {
    advice: `Look at the tree and at what stands beside it (*_before_*), put back what is missing, and then remove ${path.dirname(file)}.`,
    cause,
  });
}

export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes a directory that this restore has made. Throws RestoreFailed. */
export async function discard(directory: string): Promise<void> {
  await removeTree(directory).catch((cause: unknown) => {
    throw unwritable(directory, cause);
  });
}

/** Whether there is anything of that name, a link that leads nowhere too. */
export async function exists(file: string): Promise<boolean> {
  return (await lookAt(file)) !== undefined;
}

/** What lstat says, in whole numbers; undefined where there is nothing. */
export async function lookAt(file: string) {
  try {
    return await atLongPath(Buffer.from(file), (at) => lstat(at, { bigint: true }));
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw unwritable(file, error);
  }
}

export function unwritable(file: string, cause: unknown): HoldfastError {
  return new HoldfastError('RestoreFailed', `${file} cannot be written: ${messageOf(cause)}`, {
    advice:
      systemAdvice(cause) ?? `Check that ${path.dirname(file)} exists, has room and may be written to by this user.`,
    cause,
  });
}
