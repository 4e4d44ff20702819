import type { FileTreeConfiguration } from '../config/sourceSchema.ts';
import { HoldfastError } from '../errors.ts';
import type { TreeReport } from '../backup/part.ts';
import type { ArchiveTotals } from './listArchive.ts';
import { createPathCollector, type PathCollector } from './paths.ts';

/** What could not be kept as it was, noted while a tree is read. */
export interface TreeNotes {
  readonly changed: PathCollector;
  readonly vanished: PathCollector;
  readonly unreadable: PathCollector;
  readonly skipped: PathCollector;
  /** What is in the archive and a restore leaves out unless it is asked for. */
  readonly outsideLinks: PathCollector;
  readonly specialFiles: PathCollector;
}

/** An archive program at work: its output, and its end. */
export interface RunningArchive {
  /** A chunk is good until the next one is asked for. */
  readonly output: AsyncIterable<Buffer>;
  readonly finished: Promise<unknown>;
}

export function createTreeNotes(): TreeNotes {
  return {
    changed: createPathCollector(),
    vanished: createPathCollector(),
    unreadable: createPathCollector(),
    skipped: createPathCollector(),
    outsideLinks: createPathCollector(),
    specialFiles: createPathCollector(),
  };
}

export function createTreeReport(totals: ArchiveTotals, notes: TreeNotes): TreeReport {
  return {
    files: totals.files,
    directories: totals.directories,
    links: totals.links,
    bytes: totals.bytes,
    changed: notes.changed.list(),
    vanished: notes.vanished.list(),
    unreadable: notes.unreadable.list(),
    skipped: notes.skipped.list(),
    outsideLinks: notes.outsideLinks.list(),
    specialFiles: notes.specialFiles.list(),
  };
}

/**
 * Holds what was read against what the configuration demands of the tree.
 * Throws `FloorViolated` for too few files or bytes, `FilesUnreadable` where the configuration says that unreadable or
 * changed files fail the backup.
 */
export function assertAcceptable(tree: string, configuration: FileTreeConfiguration, report: TreeReport): void {
  assertFloors(tree, configuration, report);
  const { unreadable, changed, vanished } = report;
  if (configuration.onUnreadable === 'fail' && unreadable.count > 0)
    throw new HoldfastError(
      'FilesUnreadable',
      `${unreadable.count} of the files of ${tree} in ${configuration.path} could not be read: ${first(unreadable.paths)}`,
      { advice: "Let the worker's user read them, exclude them, or set onUnreadable: record." },
    );
  const moved = [...changed.paths, ...vanished.paths];
  if (configuration.onChanged === 'fail' && moved.length > 0)
    throw new HoldfastError(
      'FilesUnreadable',
      `${changed.count + vanished.count} of the files of ${tree} in ${configuration.path} changed or vanished while being read: ${first(moved)}`,
      {
        advice: 'Back up when the tree is at rest or from a snapshot of it, or set onChanged: record.',
        retryable: true,
      },
    );
}

/** Throws `FloorViolated` when a tree is smaller than its configuration allows. */
export function assertFloors(
  tree: string,
  configuration: FileTreeConfiguration,
  found: { readonly files: number; readonly bytes: number },
): void {
  const { minimumFiles, minimumBytes, path } = configuration;
  const advice = `Check that ${path} is mounted and complete; if it may be this small, lower the tree's floor.`;
  if (found.files < minimumFiles)
    throw new HoldfastError(
      'FloorViolated',
      `${tree} in ${path} holds ${found.files} files, fewer than the ${minimumFiles} it must hold`,
      { advice },
    );
  if (found.bytes < minimumBytes)
    throw new HoldfastError(
      'FloorViolated',
      `${tree} in ${path} holds ${found.bytes} bytes, fewer than the ${minimumBytes} it must hold`,
      { advice },
    );
}

function first(paths: readonly string[]): string {
  const shown = paths.slice(0, 5).join(', ');
  return paths.length > 5 ? `${shown}, ...` : shown;
}
