import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { HoldfastError, messageOf } from '../errors.ts';
import type { PathList } from '../backup/part.ts';
import { removeTree } from '../files/removeTree.ts';
import type { TarProgram } from '../files/tarProgram.ts';
import { partNamed } from '../repository/readPart.ts';
import type { Manifest } from '../repository/manifest.ts';
import { compareTree } from '../restore/trees/compareTree.ts';
import { describeLost } from '../restore/trees/describeTrees.ts';
import { planTrees } from '../restore/plan/planTrees.ts';
import { restoreTree } from '../restore/trees/restoreTree.ts';
import type { RestoreCopy } from '../restore/run.ts';
import type { RestoredTree, TreeComparison, TreePlace } from '../restore/trees/trees.ts';
import type { OpeningKey } from '../seal/keys.ts';
import { cutDifferences } from './differences.ts';
import type { DrilledPart } from './run.ts';

export interface DrillTreeOptions {
  readonly tree: string;
  /** The one copy that is tried out: no other one steps in for it. */
  readonly copy: RestoreCopy;
  readonly manifest: Manifest;
  readonly openingKeys: readonly OpeningKey[];
  /** A directory of the drills of this source alone; whatever is in it is removed, before and after. */
  readonly scratch: string;
  /** From `findTar`. */
  readonly tar: TarProgram | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told what is being done, and how many uncompressed bytes were read for it. */
  readonly onProgress?: ((phase: 'files' | 'comparison', bytes: number) => void) | undefined;
}

/**
 * Unpacks a tree of one copy into the scratch directory, holds every file against the archive, and removes it, however it
 * went. Differences are in the answer. Throws what `restoreTree` throws, and RestoreFailed where the directory lacks
 * room or may not be written.
 */
export async function drillTree(options: DrillTreeOptions): Promise<DrilledPart> {
  const { tree, copy, manifest, scratch, tar, signal, onProgress } = options;
  const backup = { copies: [copy], manifest, openingKeys: options.openingKeys, tar, signal };
  const place: TreePlace = { tree, path: path.join(scratch, tree), mode: 'beside', id: 'drill', mark: 'drill' };
  await prepareScratch(scratch);
  try {
    await inspectScratch(options, place);
    const restored = await restoreTree({
      ...backup,
      place,
      onProgress: ({ bytes }) => onProgress?.('files', bytes),
    });
    const compared = await compareTree({
      ...backup,
      tree,
      directory: restored.directory,
      onProgress: ({ bytes }) => onProgress?.('comparison', bytes),
    });
    return partOf(manifest, restored, compared);
  } finally {
    await removeTree(scratch);
  }
}

async function prepareScratch(scratch: string): Promise<void> {
  try {
    await removeTree(scratch);
    await mkdir(scratch, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new HoldfastError(
      'RestoreFailed',
      `The directory ${scratch} of the drill cannot be made: ${messageOf(cause)}`,
      {
        advice: "Name another one under the source's drill.directory, or let the worker write there.",
        cause,
      },
    );
  }
}

async function inspectScratch({ manifest, tar }: DrillTreeOptions, place: TreePlace): Promise<void> {
  const plans = await planTrees({ manifest, trees: [place], tar });
  const failures = plans.flatMap(({ findings }) => findings).filter(({ severity }) => severity === 'failure');
  if (failures.length === 0) return;
  throw new HoldfastError(
    'RestoreFailed',
    `${place.tree} cannot be unpacked for a drill: ${failures.map(({ message }) => message).join('; ')}`,
    { advice: failures.map(({ advice }) => advice).join(' ') },
  );
}

function partOf(manifest: Manifest, restored: RestoredTree, compared: TreeComparison): DrilledPart {
  const { tree, leftOut } = restored;
  return {
    part: tree,
    phases: { files: restored.duration, comparison: compared.duration },
    bytes: partNamed(manifest, tree).originalBytes,
    differences: cutDifferences(compared.differences),
    differenceCount: compared.differenceCount,
    compared: `${compared.compared.files} files of ${compared.compared.entries} entries`,
    checks: [],
    warnings: [
      ...leftOutOf('links that lead out of the tree', leftOut.outsideLinks),
      ...leftOutOf('FIFOs and devices', leftOut.specialFiles),
      ...leftOutOf('entries with paths too long to be written', leftOut.longPaths),
      ...describeLost(compared),
      ...compared.notices,
    ],
  };
}

function leftOutOf(what: string, { count, paths }: PathList): string[] {
  return count === 0 ? [] : [`${count} ${what} were left out: ${paths.slice(0, 5).join(', ')}`];
}
