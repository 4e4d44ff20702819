import { formatBytes, formatDuration } from '../format.ts';
import type { PlannedDatabase, RestorePlan } from './flow.ts';

/** What a restore would do, as the rows of a table for people: for the Web UI and the command line alike. */
export function planRows(plan: RestorePlan): [name: string, value: string][] {
  const { backup, copies, passedOver, database, expectedDuration, missingEnvironment, approval, mode } = plan;
  const rows: [string, string | undefined][] = [
    ['backup', `${backup.id} (${backup.tier}, ${backup.kind}), read until ${backup.sealedAt}`],
    ['from', copies.join(', ')],
    ['passed over', passedOver.map(({ backend, reason }) => `${backend}: ${reason}`).join('; ')],
    ['mode', mode],
    ...(database ? databaseRows(database) : []),
    ['backed up before', database?.replaces && (plan.safetyBackup ? `by the plan ${plan.safetyBackup.plan}` : 'no')],
    [
      'expected to take',
      expectedDuration === undefined ? 'not known yet' : `about ${formatDuration(expectedDuration)}`,
    ],
    ['approval', approval.why],
    ['environment', missingEnvironment.length === 0 ? '' : `the worker lacks ${missingEnvironment.join(', ')}`],
  ];
  return rows.flatMap(([name, value = '']) => (value === '' ? [] : [[name, value]]));
}

function databaseRows(database: PlannedDatabase): [string, string | undefined][] {
  const { server, serverVersion, target, replaces, scope, bytes, freeBytes } = database;
  return [
    ['server', `${server}, PostgreSQL ${serverVersion}`],
    ['into', target],
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
