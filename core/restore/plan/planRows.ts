import { cutList } from '../../postgres/identifiers.ts';
import { formatBytes, formatDuration } from '../../format.ts';
import type { PlannedDatabase, PlannedFiles, RestorePlan } from '../flow.ts';

/** Rows of a table for people. One without a value is left out by `shownRows`. */
export type PlanRow = readonly [name: string, value: string | undefined];

/** What a restore would do, as the rows of a table for people: for the Web UI and the command line alike. */
export function planRows(plan: RestorePlan): [name: string, value: string][] {
  const { database, files, expectedDuration, missingEnvironment, approval, mode } = plan;
  return shownRows([
    ...backupRows(plan),
    ['mode', mode],
    ...(database ? databaseRows(database) : []),
    ...(files ? fileRows(files) : []),
    ['backed up before', plan.safetyBackup && `by the plan ${plan.safetyBackup.plan} (${plan.safetyBackup.kind})`],
    [
      'expected to take',
      expectedDuration === undefined ? 'not known yet' : `about ${formatDuration(expectedDuration)}`,
    ],
    ['approval', approval.why],
    ['environment', missingEnvironment.length === 0 ? '' : `the worker lacks ${missingEnvironment.join(', ')}`],
  ]);
}

/** What is to be known before everything else of a restore of the newest backup. */
export function notTheNewest(backup: string, newer: readonly string[] = []): string[] {
  return newer.map((line) => `BACKUP ${backup} MAY NOT BE THE NEWEST: ${line}`);
}

export function shownRows(rows: readonly PlanRow[]): [name: string, value: string][] {
  return rows.flatMap(([name, value = '']) => (value === '' ? [] : [[name, value]]));
}

export function backupRows({
  backup,
  copies,
  passedOver,
}: Pick<RestorePlan, 'backup' | 'copies' | 'passedOver'>): PlanRow[] {
  return [
    ['backup', `${backup.id} (${backup.tier}, ${backup.kind}), read until ${backup.sealedAt}`],
    ['from', copies.join(', ')],
    ['passed over', passedOver.map(({ backend, reason }) => `${backend}: ${reason}`).join('; ')],
  ];
}

export function databaseRows(database: PlannedDatabase): PlanRow[] {
  const { server, serverVersion, target, name, replaces, scope, bytes, freeBytes } = database;
  return [
    ['server', `${server}, PostgreSQL ${serverVersion}`],
    ['into', replaces === undefined ? name : target],
    [
      'replaces',
      replaces &&
        `${replaces.name} (${formatBytes(replaces.bytes)}, ${replaces.sessions} sessions), kept as ${replaces.keptAs}`,
    ],
    ['tables', scope.tables?.join(', ')],
    [
      'size',
      `${formatBytes(bytes)}, ${freeBytes === undefined ? 'free room unknown' : `${formatBytes(freeBytes)} free`}`,
    ],
  ];
}

export function fileRows({ host, trees }: Pick<PlannedFiles, 'host' | 'trees'>): PlanRow[] {
  return trees.flatMap(({ tree, targets, keptAs, files, bytes, freeBytes, place }): PlanRow[] => [
    [`tree ${tree}`, `${cutList(targets)} on ${host}`],
    [`${tree} replaces`, keptAs.length === 0 ? undefined : `what is there, kept as ${cutList(keptAs)}`],
    [
      `size of ${tree}`,
      `${files} files, ${formatBytes(bytes)}${place.paths ? ' in all' : ''}, ${freeBytes === undefined ? 'free room unknown' : `${formatBytes(freeBytes)} free`}`,
    ],
  ]);
}
