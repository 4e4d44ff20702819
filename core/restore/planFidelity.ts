import type { ErrorType } from '../errors.ts';
import { cutList } from '../postgres/identifiers.ts';
import type { Finding } from '../postgres/preflight.ts';
import type { ManifestPart } from '../repository/manifest.ts';
import { treeNotices } from './treeParts.ts';
import type { PlannedTree, PlanTreesOptions } from './trees.ts';

/** In what a tree will not be what it was, though nothing stands in the way of restoring it: warnings. */
export function fidelityFindings(place: PlannedTree, part: ManifestPart, options: PlanTreesOptions): Finding[] {
  return [
    ...programFindings(place, options),
    ...leftOutFindings(place.tree, part, options),
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
        `${links.count} symbolic links of ${tree} lead out of it and will be left out: ${cutList(links.paths, links.count)}`,
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
  return findings;
}

function manifestFindings(tree: string, part: ManifestPart): Finding[] {
  return treeNotices(part).map((notice) => warning(`${tree}: ${notice}`, 'An older backup may have them.'));
}
