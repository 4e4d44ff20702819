import { constants } from 'node:fs';
import { access, realpath, statfs } from 'node:fs/promises';
import path from 'node:path';
import { isHoldfastError, messageOf } from '../../errors.ts';
import { mountPoints } from '../../files/treeDirectory.ts';
import { formatBytes } from '../../format.ts';
import { explained } from '../../systemErrors.ts';
import type { Finding } from '../../postgres/finding.ts';
import type { ManifestPart } from '../../repository/manifest.ts';
import { failure, fidelityFindings, warning } from './planFidelity.ts';
import { begunStaging, exists, isPartInPlace, lookAt, rootOf } from '../trees/stagingDirectory.ts';
import { treeNamed } from '../trees/treeParts.ts';
import { missingAbove, nameBeside, targetsOf, type TreeTarget } from '../trees/treeTargets.ts';
import type { PlannedTree, PlanTreesOptions, TreePlan } from '../trees/trees.ts';

/**
 * Says of each tree where it would be put and what stands in the way of that, changing nothing. What a restore of the same
 * mark has begun is no obstacle. Whether the backup has the wanted `paths` is seen when it is read.
 */
export async function planTrees(options: PlanTreesOptions): Promise<TreePlan[]> {
  const plans: TreePlan[] = [];
  // What the trees before need of each file system, by its device.
  const needed = new Map<bigint, number>();
  for (const place of options.trees) plans.push(await planTree(place, options, needed));
  return plans;
}

async function planTree(place: PlannedTree, options: PlanTreesOptions, needed: Map<bigint, number>): Promise<TreePlan> {
  const { tree, mode } = place;
  const nothing = { tree, mode, targets: [], keptAs: [], files: 0, bytes: 0, requiredBytes: 0 };
  try {
    const part = treeNamed(options.manifest, tree);
    const targets = await targetsOf(place);
    const begun = (await begunStaging(place)) !== undefined;
    const { findings: space, ...bytes } = await spaceFindings(place, part, needed);
    const findings = [
      ...(await rootFindings(place)),
      ...(await mountFindings(place)),
      ...(await ownFindings(place, options)),
      ...(await nestedFindings(place, targets, options)),
      ...(begun ? [] : await targetFindings(place, targets)),
      ...space,
      ...(await nameFindings(place, targets)),
      ...fidelityFindings(place, part, options),
    ];
    return {
      tree,
      mode,
      targets: targets.map(({ live }) => live),
      keptAs: await keptNames(targets),
      files: part.tree?.files ?? 0,
      bytes: part.tree?.bytes ?? 0,
      ...bytes,
      findings: findings.toSorted((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning')),
    };
  } catch (thrown) {
    const error = explained(thrown, { where: place.path });
    if (!isHoldfastError(error)) throw error;
    return { ...nothing, findings: [failure(error.type, error.message, error.advice ?? '')] };
  }
}

async function keptNames(targets: readonly TreeTarget[]): Promise<string[]> {
  const names: string[] = [];
  for (const { live, keptAs } of targets) if (await exists(live)) names.push(keptAs);
  return names;
}

/** The directory that everything is made in, and the tree itself where it is there. */
async function rootFindings(place: PlannedTree): Promise<Finding[]> {
  const root = await rootOf(place);
  const parent = path.dirname(root);
  const found = await lookAt(root);
  if (found && !found.isDirectory())
    return [failure('RefusedForSafety', `${root} is no directory`, 'Correct the path of the tree.')];
  if (isPartInPlace(place))
    return found
      ? writeFindings(root)
      : [
          failure(
            'RefusedForSafety',
            `${root} does not exist: there is nothing to put single files into`,
            'Restore the whole tree, or with mode beside.',
          ),
        ];
  if (!(await exists(parent)))
    return [failure('InvalidInput', `${parent} does not exist`, `Make it first: mkdir -p ${parent}`)];
  return writeFindings(parent);
}

async function writeFindings(directory: string): Promise<Finding[]> {
  try {
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    return [];
  } catch (error) {
    return [
      failure(
        'InvalidInput',
        `this process may not write to ${directory}: ${messageOf(error)}`,
        "Give the worker's user write permission on it, mount it writable, or restore somewhere else.",
      ),
    ];
  }
}

async function mountFindings(place: PlannedTree): Promise<Finding[]> {
  if (place.mode !== 'in-place' || isPartInPlace(place)) return [];
  const root = await realOf(await rootOf(place));
  const points = await mountPoints(root);
  return points.map((point) =>
    point === root
      ? failure(
          'RefusedForSafety',
          `${root} is a mount point, which cannot be renamed`,
          `Restore it beside this one (mode beside, files ${place.tree}) and copy the files over, or restore single paths in place.`,
        )
      : warning(
          `a file system is mounted at ${point}, inside the tree: it goes along with what is kept, and its files are restored into the tree`,
          'Unmount it before, or exclude it from the tree and leave it alone.',
        ),
  );
}

/** What Holdfast itself lives on is never moved away. */
async function ownFindings(place: PlannedTree, { ownDirectories = [] }: PlanTreesOptions): Promise<Finding[]> {
  if (place.mode === 'beside') return [];
  const root = await rootOf(place);
  const real = await realOf(root);
  const findings: Finding[] = [];
  for (const own of ownDirectories)
    if (overlap(await realOf(own.path), real))
      findings.push(
        failure(
          'RefusedForSafety',
          `${own.what} in ${own.path} and the tree in ${root} are not apart`,
          'Restore it to somewhere else, and put it in place by hand.',
        ),
      );
  return findings;
}

/** What one tree puts in place would be moved away with the other: the later of the two is told. */
async function nestedFindings(
  place: PlannedTree,
  targets: readonly TreeTarget[],
  { trees }: PlanTreesOptions,
): Promise<Finding[]> {
  if (place.mode === 'beside') return [];
  const own = await Promise.all(targets.map(({ live }) => realOf(live)));
  const findings: Finding[] = [];
  for (const other of trees.slice(0, trees.indexOf(place)).filter(({ mode }) => mode !== 'beside')) {
    const others = await Promise.all((await targetsOf(other)).map(({ live }) => realOf(live)));
    if (own.some((one) => others.some((each) => overlap(one, each))))
      findings.push(
        failure(
          'RefusedForSafety',
          `${place.tree} (${own.join(', ')}) and ${other.tree} (${others.join(', ')}) lie in each other: they cannot be put in place at once`,
          'Restore them one after the other, the outer one first.',
        ),
      );
  }
  return findings;
}

/** Without symbolic links, as far as it is there. */
async function realOf(file: string): Promise<string> {
  const whole = path.resolve(file);
  const above = path.dirname(whole);
  return realpath(whole).catch(async () =>
    above === whole ? whole : path.join(await realOf(above), path.basename(whole)),
  );
}

function overlap(one: string, other: string): boolean {
  return one === other || one.startsWith(`${other}/`) || other.startsWith(`${one}/`);
}

async function targetFindings(place: PlannedTree, targets: readonly TreeTarget[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  const root = await rootOf(place);
  for (const { live, keptAs, within } of targets) {
    if (within !== '') await missingAbove(root, within);
    const obstacle = await obstacleOf(place, live, keptAs);
    if (obstacle !== undefined)
      findings.push(
        failure(
          'RefusedForSafety',
          `${obstacle} exists already`,
          `Nothing is overwritten: move it away, or restore ${place.mode === 'new' ? 'to another place' : 'with another id'}.`,
        ),
      );
    if (within !== '' && (await isElsewhere(root, live)))
      findings.push(
        failure(
          'RefusedForSafety',
          `${live} is on another file system than ${root}`,
          'Restore it beside the tree (mode beside, the same paths) and copy the file over.',
        ),
      );
  }
  return findings;
}

/** What stands where something new is to be, a link too that leads elsewhere. */
async function obstacleOf(place: PlannedTree, live: string, keptAs: string): Promise<string | undefined> {
  if (place.mode === 'in-place') {
    const undone = nameBeside(live, 'undone', place);
    if (await exists(undone)) return undone;
    return (await exists(keptAs)) ? keptAs : undefined;
  }
  const named = path.resolve(place.path);
  if (place.mode === 'new' && (await exists(named))) return named;
  return (await exists(live)) ? live : undefined;
}

/** Whether the directory that a path is put into is on another file system than the tree. */
async function isElsewhere(root: string, live: string): Promise<boolean> {
  if (!(await exists(root))) return false;
  let directory = path.dirname(live);
  while (!(await exists(directory))) directory = path.dirname(directory);
  return (await lookAt(directory))?.dev !== (await lookAt(root))?.dev;
}

/** A file that is replaced under one name stays what it is under its others. */
async function nameFindings(place: PlannedTree, targets: readonly TreeTarget[]): Promise<Finding[]> {
  if (!isPartInPlace(place)) return [];
  const root = await rootOf(place);
  const findings: Finding[] = [];
  for (const { live, keptAs } of targets) {
    const found = await lookAt(live);
    if (!found?.isFile() || found.nlink === 1n) continue;
    findings.push(
      warning(
        `${live} is one of ${found.nlink} names of a file (hard links): the others keep what is in it now`,
        `Restore them too, all at once. To find them: find ${root} -samefile ${live}, and after the restore find ${root} -samefile ${keptAs}.`,
      ),
    );
  }
  return findings;
}

const BLOCK = 4096;

async function spaceFindings(place: PlannedTree, part: ManifestPart, needed: Map<bigint, number>) {
  // The archive has no holes in it, and a header for every entry; files fill whole blocks.
  const entries = (part.tree?.files ?? 0) + (part.tree?.directories ?? 0);
  const requiredBytes = part.originalBytes + entries * BLOCK;
  let directory = isPartInPlace(place) ? await rootOf(place) : path.dirname(await rootOf(place));
  while (!(await exists(directory))) directory = path.dirname(directory);
  const device = (await lookAt(directory))?.dev ?? 0n;
  const { bavail, bsize, blocks } = await statfs(directory);
  // As ramfs does, which takes what there is of memory.
  if (blocks === 0) {
    const unknown = `the file system of ${directory} does not tell how much it has room for: ${place.tree} needs ${formatBytes(requiredBytes)}`;
    return { requiredBytes, findings: [warning(unknown, 'See that there is enough.')] };
  }
  const freeBytes = bavail * bsize;
  const before = needed.get(device) ?? 0;
  needed.set(device, before + requiredBytes);
  if (freeBytes >= before + requiredBytes) return { requiredBytes, freeBytes, findings: [] };
  const message = `${place.tree} needs ${formatBytes(requiredBytes)} in ${directory}${before > 0 ? ` beside the ${formatBytes(before)} of other trees` : ''}, ${formatBytes(freeBytes)} are free`;
  const advice = 'Make room there.';
  const some = (place.paths?.length ?? 0) > 0;
  const finding = some
    ? warning(`${message}; a part of it may fit`, advice)
    : failure('RefusedForSafety', message, advice);
  return { requiredBytes, freeBytes, findings: [finding] };
}
