import { rename, rmdir, unlink } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { HoldfastError } from '../../errors.ts';
import { extractArchive, type ExtractedArchive } from '../../files/extractArchive.ts';
import { atLongPath } from '../../files/longPaths.ts';
import { selectPaths } from '../../files/pathSelection.ts';
import { bytePath } from '../../files/walkTree.ts';
import { partBytes } from '../../repository/extractPart.ts';
import type { ManifestPart } from '../../repository/manifest.ts';
import type { Backend } from '../../storage/backend.ts';
import { readingAhead } from '../../storage/readAhead.ts';
import { fromGoodCopy } from '../choose/fromGoodCopy.ts';
import {
  beginTry,
  discard,
  endTry,
  finishedTry,
  inStaging,
  isPartInPlace,
  unwritable,
  writeRecord,
} from './stagingDirectory.ts';
import { treeNamed } from './treeParts.ts';
import type { RestoredTree, RestoreTreeOptions, TreeBackup, TreePlace, TreeProgress } from './trees.ts';

/**
 * Unpacks a tree, or some paths of it, into a staging directory beside where it will be, from the first copy that is good
 * to its end. Changes nothing else. What an earlier try of the same mark finished is answered as it is; what it did not
 * finish is replaced. After a failure, or when `signal` aborts, nothing of this try is left.
 *
 * Throws InvalidInput for a tree or path that the backup does not have; RefusedForSafety for an archive made to do harm;
 * RestoreFailed where it cannot be written; KeyMissing, ToolMissing; for lack of a good copy what is wrong with the last one.
 */
export async function restoreTree(options: RestoreTreeOptions): Promise<RestoredTree> {
  const { place, manifest, copies, signal } = options;
  const part = treeNamed(manifest, place.tree);
  const finished = await finishedTry(place);
  if (finished) return finished;
  const begun = performance.now();
  return inStaging(place, async (staging) => {
    const { named, own } = staging;
    const attempt = await beginTry(place, staging);
    const into = { directory: attempt, named: named.directory };
    try {
      const unpack = (backend: Backend) => unpackCopy(options, part, readingAhead(backend), into);
      const { result, backend, passedOver } = await fromGoodCopy(copies, unpack, signal);
      const { totals, leftOut, omitted } = result;
      await rename(attempt, own.tree).catch((cause: unknown) => {
        throw takenOver(place, cause);
      });
      const duration = Math.round(performance.now() - begun);
      const restored: RestoredTree = {
        tree: place.tree,
        directory: named.tree,
        backend,
        totals,
        leftOut,
        ...(omitted.length > 0 && { omitted }),
        passedOver,
        duration,
      };
      await writeRecord(own.restored, restored);
      return restored;
    } catch (error) {
      await endTry(staging, attempt);
      throw error;
    }
  });
}

/** The archive of a tree as it streams out of one copy, verified as `readPart` says. */
export function treeArchive(
  { manifest, openingKeys, signal, onProgress }: Pick<RestoreTreeOptions, keyof TreeBackup | 'signal' | 'onProgress'>,
  part: ManifestPart,
  backend: Backend,
): AsyncGenerator<Buffer, void> {
  const report = (bytes: number) => {
    const progress: TreeProgress = { tree: part.part, backend: backend.name, bytes, totalBytes: part.originalBytes };
    onProgress?.(progress);
  };
  return partBytes({ backend, manifest, part, openingKeys, pgRestore: noDump, signal, onProgress: report }, 'tar');
}

function noDump(): Promise<never> {
  return Promise.reject(new TypeError('an archive is read as it is'));
}

/** A directory by its handle, and what messages call it. */
interface Into {
  readonly directory: string;
  readonly named: string;
}

async function unpackCopy(
  options: RestoreTreeOptions,
  part: ManifestPart,
  backend: Backend,
  into: Into,
): Promise<ExtractedArchive> {
  const { directory } = into;
  try {
    const first = await unpackOnce(options, part, backend, into, []);
    if (first.missingContents.length === 0) return first.extracted;
    await discard(directory);
    const second = await unpackOnce(options, part, backend, into, first.missingContents);
    await removeContents(directory, first.missingContents);
    return second.extracted;
  } catch (error) {
    await discard(directory);
    throw error;
  }
}

async function unpackOnce(
  options: RestoreTreeOptions,
  part: ManifestPart,
  backend: Backend,
  { directory, named }: Into,
  contents: readonly string[],
) {
  const { tar, owners, outsideLinks, specialFiles, signal, place } = options;
  const selection = place.paths?.length ? selectPaths(place.paths, contents) : undefined;
  const archive = Readable.from(treeArchive(options, part, backend), { objectMode: false });
  const extracted = await extractArchive(archive, directory, {
    named,
    tar,
    owners,
    outsideLinks,
    specialFiles,
    selection,
    expected: part.tree,
    signal,
  });
  const unmet = selection?.unmet() ?? [];
  if (unmet.length > 0) throw noSuchPath(options, unmet);
  const escaped = isPartInPlace(place) ? (selection?.metEscaped() ?? []) : [];
  if (escaped.length > 0) throw notInPlace(options, escaped);
  if (selection?.wanted(() => true).length === extracted.omitted.length && selection)
    throw nothingLeft(options, extracted);
  return { extracted, missingContents: selection?.missingContents() ?? [] };
}

/** Takes away the names that were needed for their contents only, and the directories that came to be for them. */
async function removeContents(directory: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await atLongPath(bytePath(directory, name), unlink).catch((cause: unknown) => {
      throw unwritable(directory, cause);
    });
    const above = name.split('/').slice(0, -1);
    for (let depth = above.length; depth > 0; depth -= 1) {
      // One that holds something else stays, and so does all above it.
      const emptied = await rmdir(bytePath(directory, above.slice(0, depth).join('/'))).then(
        () => true,
        () => false,
      );
      if (!emptied) break;
    }
  }
}

function takenOver({ tree }: TreePlace, cause: unknown): HoldfastError {
  return new HoldfastError('RestoreFailed', `Tree ${tree} was taken over by another try of this restore`, {
    advice: 'Wait for that one to end.',
    cause,
  });
}

function nothingLeft({ manifest, place }: RestoreTreeOptions, { leftOut }: ExtractedArchive): HoldfastError {
  const { outsideLinks, specialFiles, longPaths } = leftOut;
  const because = [
    ...(specialFiles.count > 0 ? [`${specialFiles.paths.join(', ')}: restores leave FIFOs and devices out`] : []),
    ...(outsideLinks.count > 0
      ? [`${outsideLinks.paths.join(', ')}: links that lead out of the tree are left out`]
      : []),
    ...(longPaths.count > 0 ? [`${longPaths.paths.join(', ')}: too long a path to be written`] : []),
  ];
  const advice = [
    ...(specialFiles.count > 0 ? ['Make them by hand (mkfifo, mknod).'] : []),
    ...(outsideLinks.count > 0 ? ['`--outside-links` restores such links too.'] : []),
    ...(longPaths.count > 0 ? ['`holdfast extract --as tar` gives them back.'] : []),
  ];
  const what = `Of tree ${place.tree} of backup ${manifest.id} nothing that is wanted can be restored`;
  return new HoldfastError('RefusedForSafety', `${what}: ${because.join('; ')}`, { advice: advice.join(' ') });
}

function notInPlace({ place }: RestoreTreeOptions, escaped: readonly string[]): HoldfastError {
  const what = `${escaped.join(', ')} of tree ${place.tree} cannot be put in place by itself: its name has to be escaped`;
  return new HoldfastError('RefusedForSafety', what, {
    advice:
      'Restore the folder that it is in, or beside the tree (--mode new, `recover restore --into`) and move it there.',
  });
}

function noSuchPath({ manifest, place }: RestoreTreeOptions, unmet: readonly string[]): HoldfastError {
  const names = unmet.map((each) => JSON.stringify(each)).join(', ');
  return new HoldfastError('InvalidInput', `Tree ${place.tree} of backup ${manifest.id} has no ${names}`, {
    advice:
      'Paths are relative to the tree and written as there, names that are no UTF-8 with three octal digits for a byte (bad\\377name). `tar -tf` lists what `holdfast extract --as tar` gives.',
  });
}
