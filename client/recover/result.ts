import { formatDuration } from '../../core/format.ts';
import { describeTree } from '../../core/restore/describeTrees.ts';
import type { PassedOver } from '../../core/restore/run.ts';
import type { RecoveredDatabase, Recovery } from './recover.ts';

/** Whether everything came back as it was, of the backup that was meant. */
export function isComplete({ database, tree, newer }: Recovery): boolean {
  const leftOut = tree?.restored.leftOut;
  return (
    newer.length === 0 &&
    database?.reconciliation.equal !== false &&
    (leftOut === undefined || leftOut.outsideLinks.count + leftOut.specialFiles.count === 0)
  );
}

/** What came of a recovery, for people. */
export function describeRecovery({ backup, source, sealedAt, database, tree, passedOver, newer }: Recovery): string {
  return [
    ...notTheNewest(backup, newer),
    `Backup ${backup} of ${source}, sealed ${sealedAt}`,
    ...(database ? describeDatabase(database) : []),
    ...(tree ? describeTree(tree) : []),
    ...passedOver.map(({ backend, reason }) => `Passed over: ${backend}: ${reason}`),
  ].join('\n');
}

/** What is to be known before everything else of a recovery of the newest backup. */
export function notTheNewest(backup: string, newer: readonly PassedOver[]): string[] {
  return newer.map(({ backend, reason }) => `BACKUP ${backup} MAY NOT BE THE NEWEST: ${backend}: ${reason}`);
}

function describeDatabase({ name, createdRoles, durations, warnings, reconciliation }: RecoveredDatabase): string[] {
  const { equal, compared, differences, differenceCount, notCarried, notices } = reconciliation;
  const what = `${compared.tables} tables, ${compared.rows} rows, ${compared.sequences} sequences, ${compared.objects} objects, ${compared.largeObjects} large objects`;
  const verdict = equal ? 'equal to what was dumped' : `NOT equal to what was dumped, ${differenceCount} differences`;
  return [
    `Database ${name} in ${formatDuration(durations.total)}, ${verdict}: ${what}.`,
    ...differences.map(
      (each) => `${each.severity}: ${each.kind} ${each.object}: ${each.what} ${each.expected} -> ${each.found}`,
    ),
    ...(createdRoles.length > 0
      ? [`Roles created, without a password unless the backup keeps them: ${createdRoles.join(', ')}`]
      : []),
    ...warnings.map((warning) => `Note: ${warning}`),
    ...notices.map((notice) => `Note: ${notice}`),
    ...notCarried.map((each) => `Not restored: ${each}`),
  ];
}
