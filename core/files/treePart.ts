import type { PartFacts, PartSource } from '../backup/part.ts';
import type { FileTreeConfiguration } from '../config/sourceSchema.ts';
import { HoldfastError } from '../errors.ts';
import { leadsOutside } from './archiveGuard.ts';
import { archiveWithGnuTar } from './gnuTar.ts';
import { createTotalsCounter, type ArchiveTotals } from './listArchive.ts';
import { archiveWithNode } from './nodeTar.ts';
import { createTarReader } from './tarReader.ts';
import { assertDirectory } from './treeDirectory.ts';
import type { TarProgram } from './tarProgram.ts';
import {
  assertAcceptable,
  createTreeNotes,
  createTreeReport,
  type RunningArchive,
  type TreeNotes,
} from './treeNotes.ts';

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
      const notes = createTreeNotes();
      const running = startArchive(options, notes, signal);
      const { archive, counted } = countedArchive(running, notes);
      const finished = reportWhenDone(options, running, counted, notes);
      // The archive's reader sees the failure first, as an early end; whoever awaits `finished` learns why.
      finished.catch(() => undefined);
      return { plaintext: archive, finished };
    },
  };
}

async function startArchive(
  { tree, configuration, stallTimeout, tar }: TreeArchiveOptions,
  notes: TreeNotes,
  signal: AbortSignal,
): Promise<RunningArchive> {
  await assertDirectory(tree, configuration.path);
  signal.throwIfAborted();
  return tar
    ? archiveWithGnuTar(tar, configuration, notes, { stallTimeout, signal })
    : archiveWithNode(configuration, notes, { stallTimeout, signal });
}

/** The program's own failure explains more than the broken archive it leaves, so it is the one reported. */
async function reportWhenDone(
  { tree, configuration }: TreeArchiveOptions,
  running: Promise<RunningArchive>,
  counted: Promise<ArchiveTotals>,
  notes: TreeNotes,
): Promise<PartFacts> {
  const [ended, totals] = await Promise.allSettled([running.then((archive) => archive.finished), counted]);
  if (ended.status === 'rejected') throw ended.reason;
  if (totals.status === 'rejected') throw totals.reason;
  const report = createTreeReport(totals.value, notes);
  assertAcceptable(tree, configuration, report);
  return { tree: report };
}

/** The same bytes, and what they turned out to hold once they were read to their end. */
function countedArchive(running: Promise<RunningArchive>, notes: TreeNotes) {
  const counter = createTotalsCounter();
  const reader = createTarReader({
    onEntry: (entry) => {
      counter.add(entry);
      if (entry.kind === 'symlink' && leadsOutside(entry)) notes.outsideLinks.add(entry.path);
      if (entry.kind === 'fifo' || entry.kind === 'device') notes.specialFiles.add(entry.path);
      return 'keep';
    },
    damaged: (what) => new HoldfastError('DumpFailed', `the archive program wrote no whole archive: ${what}`),
  });
  const counted = Promise.withResolvers<ArchiveTotals>();
  counted.promise.catch(() => undefined);
  async function* archive(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of (await running).output) {
        reader.push(chunk);
        yield chunk;
      }
      reader.end();
      counted.resolve(counter.totals());
    } catch (error) {
      counted.reject(error);
      throw error;
    } finally {
      counted.reject(new Error('the archive was not read to its end'));
    }
  }
  return { archive: archive(), counted: counted.promise };
}
