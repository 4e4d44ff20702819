import { formatDuration } from '../../core/format.ts';
import { describeCompared } from '../../core/restore/reconcile/describeCompared.ts';
import { describeTree, isWhole } from '../../core/restore/trees/describeTrees.ts';
import { backupRows, databaseRows, fileRows, notTheNewest, shownRows } from '../../core/restore/plan/planRows.ts';
import type { PassedOver } from '../../core/restore/run.ts';
import type { Terminal } from '../terminal.ts';
import type { RecoveredDatabase } from './database.ts';
import type { PlannedRecovery, RecoveredBackup, Recovery } from './recover.ts';

/** Whether everything came back as it was, of the backup that was meant. */
export function isComplete({ database, trees, newer }: Recovery): boolean {
  return (
    newer.length === 0 &&
    database?.reconciliation.equal !== false &&
    trees.every(({ restored, comparison }) => isWhole(restored, comparison))
  );
}

/** What came of a recovery, for people. */
export function describeRecovery(recovery: Recovery, passedOver: readonly PassedOver[]): string {
  const { database, trees } = recovery;
  return [
    ...describeBackup(recovery),
    ...(database ? describeDatabase(database) : []),
    ...trees.flatMap(describeTree),
    ...passedOver.map(({ backend, reason }) => `Passed over: ${backend}: ${reason}`),
  ].join('\n');
}

/** What a recovery would do, for people. */
export function describePlannedRecovery(planned: PlannedRecovery, terminal: Terminal): string {
  const { plan } = planned;
  const { database, files, missingEnvironment, findings } = plan;
  const rows = shownRows([
    ...backupRows(plan),
    ...(database ? databaseRows(database) : []),
    ...(files ? fileRows(files) : []),
    ['environment', missingEnvironment.length === 0 ? '' : `not set here: ${missingEnvironment.join(', ')}`],
  ]);
  return [
    ...describeBackup(planned),
    '',
    terminal.table(['', ''], rows),
    ...findings.map(({ severity, message, advice }) => {
      return `${severity === 'failure' ? 'Refused' : 'Note'}: ${message}. ${advice}`;
    }),
  ].join('\n');
}

function describeBackup({ backup, source, sealedAt, newer }: RecoveredBackup): string[] {
  return [...notTheNewest(backup, newer), `Backup ${backup} of ${source}, sealed ${sealedAt}`];
}

function describeDatabase(database: RecoveredDatabase): string[] {
  const { name, backend, createdRoles, durations, warnings, reconciliation } = database;
  const { equal, compared, differences, differenceCount, notCarried, notices } = reconciliation;
  const verdict = equal ? 'equal to what was dumped' : `NOT equal to what was dumped, ${differenceCount} differences`;
  return [
    `Database ${name} from ${backend} in ${formatDuration(durations.total)}, ${verdict}: ${describeCompared(compared)}.`,
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
