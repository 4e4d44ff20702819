import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { WorkflowHandle } from '@temporalio/client';
import type { ErrorReport } from '../../client/terminal.ts';
import type { RestoreInput, RestoreProgress, RestoreResult } from '../../core/restore/flow.ts';
import { runSql } from '../core/postgres/support.ts';
import { onServer } from '../core/restore/support.ts';
import type { Answer, Application } from './application.ts';
import type { Scope } from './directories.ts';
import { until } from './processes.ts';
import { querySession } from './session.ts';

/** Restores of an application's source `shop`, and what they leave on its server. */

/** What `holdfast restore --json` prints. */
export interface RestoreDocument extends RestoreResult {
  readonly workflowId: string;
  readonly link: string;
  readonly error?: ErrorReport;
}

export const ROWS = 5_000;

export async function restore(app: Application, ...args: string[]): Promise<Answer<RestoreDocument>> {
  const answer = await app.ask('restore', ...args);
  return { ...answer, document: answer.document as RestoreDocument };
}

/** Starts a restore as the Web UI's form does. */
export async function startRestore(app: Application, input: RestoreInput): Promise<WorkflowHandle> {
  const { workflow } = await app.temporal();
  const workflowId = `restore-by-hand-${createHash('sha256').update(`${Math.random()}`).digest('hex').slice(0, 12)}`;
  return workflow.start('restore', { workflowId, taskQueue: app.settings.temporal.taskQueue, args: [input] });
}

/** What a restore answers; a failed run's result is its failure's detail. */
export async function resultOf(handle: WorkflowHandle): Promise<RestoreResult> {
  try {
    return (await handle.result()) as RestoreResult;
  } catch (error) {
    const cause = (error as { cause?: { details?: RestoreResult[] } }).cause;
    if (!cause?.details?.[0]) throw error;
    return cause.details[0];
  }
}

export async function untilPhase(handle: WorkflowHandle, phase: RestoreProgress['phase']): Promise<RestoreProgress> {
  return until(`the phase ${phase}`, async () => {
    const progress = await handle.query<RestoreProgress>('progress');
    return progress.phase === phase ? progress : undefined;
  });
}

/** Every database on the server that the application or a restore of it has. */
export async function databasesOf(app: Application): Promise<string[]> {
  const mark = `restore/${app.settings.temporal.taskQueue}/shop`;
  const own = createHash('sha256').update(mark).digest('hex').slice(0, 16);
  const rows = await onServer(
    `select datname from pg_database where starts_with(datname, '${app.database.name}') or datname ~ '^holdfast_new_.*_${own}_' order by 1`,
  );
  return rows.map((row) => String(row['datname']));
}

/** Drops what restores have made, and puts an application's database back where one of them took its name. */
export async function dropRestored(app: Application): Promise<void> {
  for (const name of await databasesOf(app))
    if (name !== app.database.name) await onServer(`drop database "${name}" with (force)`);
}

/** After the file: the servers are shared. */
export function dropRestoredAfter(scope: Scope, app: Application): void {
  scope.after(() => dropRestored(app));
}

/** Rows that only who looks at the database in place can see: changed after the backup. */
export async function changeShop({ database }: Application): Promise<void> {
  await runSql(database, `delete from customers where id > 10`);
}

export async function countCustomers({ database }: Application, name = database.name): Promise<number> {
  return querySession({ ...database, name }, async (client) => {
    const { rows } = await client.query<{ count: number }>('select count(*)::int from customers');
    return rows[0]?.count ?? -1;
  });
}

export async function commentOn(database: string): Promise<unknown> {
  const [row] = await onServer(
    `select shobj_description(oid, 'pg_database') as comment from pg_database where datname = '${database}'`,
  );
  return row?.['comment'];
}

/** That a restore changed nothing: the databases are those, and this many rows are in the one in place. */
export async function assertUntouched(app: Application, databases: readonly string[], rows: number): Promise<void> {
  assert.deepEqual(await databasesOf(app), databases);
  assert.equal(await countCustomers(app), rows);
}
