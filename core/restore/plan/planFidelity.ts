import type { ErrorType } from '../../errors.ts';
import { printablePath } from '../../files/paths.ts';
import { cutList } from '../../postgres/identifiers.ts';
import type { Finding } from '../../postgres/finding.ts';
import type { ManifestPart } from '../../repository/manifest.ts';
import { treeNotices } from '../trees/treeParts.ts';
import type { PlannedTree, PlanTreesOptions } from '../trees/trees.ts';

/** In what a tree will not be what it was, though nothing stands in the way of restoring it: warnings. */
export function fidelityFindings(place: PlannedTree, part: ManifestPart, options: PlanTreesOptions): Finding[] {
  return [
    ...programFindings(place, options),
    ...leftOutFindings(place.tree, part, options),
    ...nothingLeftFindings(place, part, options),
    ...manifestFindings(place.tree, part),
  ];
}

export function failure(type: ErrorType, message: string, advice: string): Finding {
  return { severity: 'failure', type, message, advice };
}

export function warning(message: string, advice: string): Finding {
  return { severity: 'warning', type: 'RestoreFailed', message, advice };
}

function programFindings({ tree, mode, exclude = [], paths = [] }: PlannedTree, options: PlanTreesOptions): Finding[] {
  const findings: Finding[] = [];
  if (!(options.owners ?? process.getuid?.() === 0))
    findings.push(
      warning(
        `the files of ${tree} will belong to the user of this process, not to whom they belonged`,
        'Restore as root to keep the owners.',
      ),
    );
  if (!options.tar)
    findings.push(
      warning(
        `no GNU tar is installed here: extended attributes and ACLs of ${tree} are not restored, and sparse files refused`,
        'Install GNU tar 1.28 or newer.',
      ),
    );
  const without = [
    ...(options.tar?.xattrs === false ? ['extended attributes'] : []),
    ...(options.tar?.acls === false ? ['ACLs'] : []),
  ];
  if (without.length > 0)
    findings.push(
      warning(
        `the GNU tar of this host was built without ${without.join(' and ')}: those of ${tree} are not restored`,
        'Install one that was built with them.',
      ),
    );
  if (mode === 'in-place' && paths.length === 0 && exclude.length > 0)
    findings.push(
      warning(
        `what ${tree} excludes (${exclude.join(', ')}) is in no backup: it stays with what is kept`,
        'Copy from there what is needed.',
      ),
    );
  return findings;
}

/** The backup counted them; where it is from before that was done, only the archive itself could tell. */
function leftOutFindings(tree: string, { tree: report }: ManifestPart, { outsideLinks }: PlanTreesOptions): Finding[] {
  const findings: Finding[] = [];
  const links = report?.outsideLinks;
  const advice = 'Restore with outsideLinks (--outside-links) to have them too; nothing is ever written through them.';
  if (outsideLinks !== true && links && links.count > 0)
    findings.push(
      warning(
        `${links.count} symbolic links of ${tree} lead out of it, or may (\`..\` after another name), and will be left out: ${cutList(links.paths, links.count)}`,
        advice,
      ),
    );
  if (outsideLinks !== true && !links && (report?.links ?? 0) > 0)
    findings.push(
      warning(
        `symbolic links of ${tree} that lead out of it will be left out; the backup does not tell whether it has any, the result will name them`,
        advice,
      ),
    );
  const special = report?.specialFiles;
  if (special && special.count > 0)
    findings.push(
      warning(
        `${special.count} FIFOs and devices of ${tree} will be left out: ${cutList(special.paths, special.count)}`,
        'Make them by hand (mkfifo, mknod) after the restore.',
      ),
    );
  const long = report?.longPaths;
  if (long && long.count > 0)
    findings.push(
      warning(
        `${long.count} entries of ${tree} have paths too long to be written and will be left out: ${cutList(long.paths, long.count)}`,
        '`holdfast extract --as tar` gives them back, in an archive.',
      ),
    );
  return findings;
}

/** As far as the manifest names them; the rest is seen when the backup is read. */
function nothingLeftFindings(
  { tree, paths = [] }: PlannedTree,
  { tree: report }: ManifestPart,
  options: PlanTreesOptions,
) {
  const leftOut = new Set([
    ...(options.outsideLinks === true ? [] : (report?.outsideLinks?.paths ?? [])),
    ...(report?.specialFiles?.paths ?? []),
    ...(report?.longPaths?.paths ?? []),
  ]);
  const names = paths.map((each) => printablePath(Buffer.from(each).toString('latin1')));
  if (names.length === 0 || !names.every((each) => leftOut.has(each))) return [];
  return [
    failure(
      'RefusedForSafety',
      `of ${tree} nothing would be restored: ${cutList(names)} would be left out`,
      'FIFOs and devices are made by hand (mkfifo, mknod), links come with --outside-links, too long paths with `holdfast extract --as tar`.',
    ),
  ];
}

function manifestFindings(tree: string, part: ManifestPart): Finding[] {
  return treeNotices(part).map((notice) => warning(`${tree}: ${notice}`, 'An older backup may have them.'));
}
