import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { PartFacts, PartSource } from '../backup/part.ts';
import type { FileTreeConfiguration } from '../config/schema.ts';
import { HoldfastError } from '../errors.ts';
import { archiveWithGnuTar } from './gnuTar.ts';
import { createTotalsCounter, type ArchiveTotals } from './listArchive.ts';
import { archiveWithNode } from './nodeTar.ts';
import { createTarReader, type TarEntry } from './tarReader.ts';
import { assertDirectory } from './treeDirectory.ts';
import type { TarProgram } from './tarProgram.ts';
import { assertAcceptable, createTreeNotes, createTreeReport, type RunningArchive } from './treeNotes.ts';

export interface TreeArchiveOptions {
  /** Name of the tree, which becomes the part's. */
  readonly tree: string;
  readonly configuration: FileTreeConfiguration;
  /** Milliseconds without a byte after which the archive program is ended. */
  readonly stallTimeout: number;
  /** From `findTar`; without one the tree is archived with less fidelity, see nodeTar.ts. */
  readonly tar: TarProgram | undefined;
}

/**
 * A named file tree as one part of a backup: a tar archive of everything below its path, with names relative to it.
 * A path that is a symbolic link means the directory it points at; links inside the tree are kept as links.
 *
 * What is counted is what the archive holds. `finished` rejects with `FilesUnreadable` (no such tree, or what the
 * configuration does not accept), `FloorViolated`, `DumpFailed`, `Stalled`, or the signal's reason.
 */
export function treePart(options: TreeArchiveOptions): PartSource {
  return {
    part: options.tree,
    format: 'tar',
    lane: 'beside',
    open: (signal) => {
      const counter = createTotalsCounter();
      const counting = countingStream((entry) => counter.add(entry));
      const finished = archive(options, counting, () => counter.totals(), signal);
      // The stream's reader sees the failure first, as an early end; whoever awaits `finished` learns why.
      finished.catch(() => counting.destroy());
      return { plaintext: counting, finished };
    },
  };
}

async function archive(
  { tree, configuration, stallTimeout, tar }: TreeArchiveOptions,
  counting: Transform,
  totals: () => ArchiveTotals,
  signal: AbortSignal,
): Promise<PartFacts> {
  await assertDirectory(tree, configuration.path);
  signal.throwIfAborted();
  const notes = createTreeNotes();
  const running = tar
    ? archiveWithGnuTar(tar, configuration, notes, { stallTimeout, signal })
    : archiveWithNode(configuration, notes, { stallTimeout, signal });
  await handOut(running, counting);
  const report = createTreeReport(totals(), notes);
  assertAcceptable(tree, configuration, report);
  return { tree: report };
}

/** The program's own failure explains more than the broken stream it leaves, so it is the one reported. */
async function handOut({ stream, finished }: RunningArchive, counting: Transform): Promise<void> {
  const [ended, handedOut] = await Promise.allSettled([finished, pipeline(stream, counting)]);
  if (ended.status === 'rejected') throw ended.reason;
  if (handedOut.status === 'rejected') throw handedOut.reason;
}

/** Passes an archive on unchanged and tells of every entry in it. */
function countingStream(onEntry: (entry: TarEntry) => void): Transform {
  const reader = createTarReader({
    onEntry: (entry) => {
      onEntry(entry);
      return 'keep';
    },
    damaged: (what) => new HoldfastError('DumpFailed', `the archive program wrote no whole archive: ${what}`),
  });
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      try {
        reader.push(chunk);
        done(null, chunk);
      } catch (error) {
        done(error as Error);
      }
    },
    flush: (done) => {
      try {
        reader.end();
        done();
      } catch (error) {
        done(error as Error);
      }
    },
  });
}
