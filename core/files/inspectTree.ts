import { access, constants } from 'node:fs/promises';
import type { FileTreeConfiguration } from '../config/sourceSchema.ts';
import type { PathList } from '../backup/part.ts';
import { codeOf, isHoldfastError, type HoldfastError } from '../errors.ts';
import { excludedOf } from './excludes.ts';
import { isTooLong } from './archiveGuard.ts';
import { atLongPath } from './longPaths.ts';
import { createPathCollector } from './paths.ts';
import { assertDirectory, missingMounts } from './treeDirectory.ts';
import { assertFloors } from './treeNotes.ts';
import { bytePath, walkTree } from './walkTree.ts';

export interface TreeInspection {
  /** What is wrong with the tree; empty when nothing is. */
  readonly findings: readonly TreeFinding[];
  /** Regular files by name (a hard link counts as often as it has names) and their apparent size in bytes. */
  readonly files: number;
  readonly bytes: number;
}

export interface TreeFinding {
  /** A backup of the tree fails, or goes on without something. */
  readonly level: 'failed' | 'warning';
  readonly message: string;
  readonly advice: string | undefined;
  /** The error a backup would fail with. */
  readonly error?: HoldfastError;
}

/**
 * Looks at a tree before it is backed up: is it there, is it a directory, can it be read, is everything mounted that
 * should be, is it above its floors. Reads names only, no contents.
 */
export async function inspectTree(
  tree: string,
  configuration: FileTreeConfiguration,
  signal?: AbortSignal,
): Promise<TreeInspection> {
  try {
    await assertDirectory(tree, configuration.path);
  } catch (error) {
    return { findings: [failedFinding(error)], files: 0, bytes: 0 };
  }
  const findings: TreeFinding[] = [];
  for (const point of await missingMounts(configuration.path))
    findings.push({
      level: 'warning',
      message: `${tree}: /etc/fstab mounts ${point}, but it is not mounted`,
      advice: `Mount it (mount ${point}), or mark it noauto if it is not always there.`,
    });

  const unreadable = createPathCollector();
  const long = createPathCollector();
  const noted = { onUnreadable: (path: string) => unreadable.add(path), onLong: (path: string) => long.add(path) };
  const counted = await countTree(configuration, noted, signal);
  if (unreadable.list().count > 0) findings.push(unreadableFinding(tree, configuration, unreadable.list()));
  if (long.list().count > 0) findings.push(longFinding(tree, configuration, long.list()));
  try {
    assertFloors(tree, configuration, counted);
  } catch (error) {
    findings.push(failedFinding(error));
  }
  return { findings, ...counted };
}

async function countTree(
  configuration: FileTreeConfiguration,
  noted: { readonly onUnreadable: (path: string) => void; readonly onLong: (path: string) => void },
  signal: AbortSignal | undefined,
): Promise<{ files: number; bytes: number }> {
  const root = configuration.path;
  let files = 0;
  let bytes = 0;
  const onTrouble = (path: string, error: unknown) => {
    if (codeOf(error) === undefined) throw error;
    // What is gone already is not there to be read; the archive will say the same.
    if (codeOf(error) !== 'ENOENT') noted.onUnreadable(path);
  };
  for await (const { path, stats } of walkTree({ path: root, exclude: excludedOf(configuration), onTrouble })) {
    signal?.throwIfAborted();
    if (isTooLong(path)) noted.onLong(path);
    if (!stats.isFile()) continue;
    files++;
    bytes += Number(stats.size);
    await atLongPath(bytePath(root, path), (at) => access(at, constants.R_OK)).catch((error: unknown) =>
      onTrouble(path, error),
    );
  }
  return { files, bytes };
}

function unreadableFinding(
  tree: string,
  configuration: FileTreeConfiguration,
  { count, paths }: { count: number; paths: readonly string[] },
): TreeFinding {
  return {
    level: configuration.onUnreadable === 'fail' ? 'failed' : 'warning',
    message: `${tree}: ${count} entries below ${configuration.path} cannot be read: ${paths.slice(0, 5).join(', ')}`,
    advice: "Let the worker's user read them, or exclude them.",
  };
}

function longFinding(tree: string, { path }: FileTreeConfiguration, { count, paths }: PathList): TreeFinding {
  return {
    level: 'warning',
    message: `${tree}: ${count} entries below ${path} have paths too long for any program to restore them: ${paths.slice(0, 5).join(', ')}`,
    advice: 'They are backed up, and only `holdfast extract --as tar` gives them back. Shorten them, or exclude them.',
  };
}

function failedFinding(error: unknown): TreeFinding {
  if (!isHoldfastError(error)) throw error;
  return { level: 'failed', message: error.message, advice: error.advice, error };
}
