import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, before, test } from 'node:test';
import { Client } from 'pg';
import type { RestoreResult } from '../../core/restore/flow.ts';
import { inPsql } from '../../core/restore/names.ts';
import { runSql } from '../core/postgres/support.ts';
import { onServer } from '../core/restore/support.ts';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { until } from '../support/processes.ts';
import {
  changeShop,
  countCustomers,
  dropRestored,
  restore,
  ROWS,
  startRestore,
  untilPhase,
} from '../support/restores.ts';
import { createDatabase, testPostgres } from '../support/servers.ts';
import { fillSmallShop } from '../support/smallShop.ts';

/** What a restore replaces: that very database, with who is in it, and with what keeps it from being dropped. */

const scope = fileScope();
let app: Application;
let restorer: string;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  const { name } = app.database;
  restorer = `restorer_${name}`;
  const { database } = app.settings.sources['shop'] ?? {};
  assert.ok(database && app.settings.plans?.['shop']);
  const password = await app.writeSecret('restorer', 'restorer');
  const [owner] = await onServer(`select pg_get_userbyid(datdba) as name from pg_database where datname = '${name}'`);
  await onServer(`create role ${restorer} login createdb password 'restorer'`);
  await onServer(`grant ${String(owner?.['name'])} to ${restorer}; grant pg_signal_backend to ${restorer}`);
  scope.after(() => onServer(`drop role ${restorer}`));
  Object.assign(app.settings.sources, { weak: { database, restore: { user: restorer, password } } });
  Object.assign(app.settings.plans, { weak: { ...app.settings.plans['shop'], source: 'weak' } });
  await app.save();
  await app.startWorker();
  for (const source of ['shop', 'weak']) assert.equal((await app.backup(source, '--kind', 'database')).code, 0, source);
  await changeShop(app);
});

afterEach(() => dropRestored(app));

test('[26] another database that has taken the name since the plan was shown is not replaced', async () => {
  const { name } = app.database;
  const handle = await startRestore(app, { source: 'shop', mode: 'replace', safetyBackup: 'skip' });
  const { plan } = await untilPhase(handle, 'approval');
  const [shown] = await onServer(`select oid::text from pg_database where datname = '${name}'`);
  assert.equal(plan?.database?.replaces?.oid, shown?.['oid']);
  await onServer(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
  await onServer(`alter database ${name} rename to ${name}_away`);
  await onServer(`create database ${name}`);
  try {
    await handle.executeUpdate('approve', { args: [{ by: 'Ada' }] });
    await assert.rejects(handle.result(), (error: { cause?: Error }) => {
      assert.match(error.cause?.message ?? '', new RegExp(`it was database ${name} .OID \\d+., and is now`));
      return true;
    });
    const there = await onServer(`select from pg_database where starts_with(datname, '${name}_before_')`);
    assert.deepEqual(there, []);
  } finally {
    await onServer(`drop database ${name} with (force)`);
    await onServer(`alter database ${name}_away rename to ${name}`);
  }
});

test('[26] sessions that the role cannot end are named by the plan, before anything is restored', async () => {
  const session = new Client({ ...app.database, database: app.database.name, application_name: 'psql of the admin' });
  session.on('error', () => undefined);
  await session.connect();
  try {
    const args = ['latest', '--source', 'weak', '--mode', 'replace', '--confirm', app.database.name];
    const { code, document } = await restore(app, ...args, '--dry-run');
    assert.equal(code, 4, JSON.stringify(document));
    assert.match(document.error?.message ?? '', /psql of the admin/);
    assert.match(document.error?.advice ?? '', /pg_terminate_backend/);
  } finally {
    await session.end();
  }
});

test('with --json too it is said on standard error that a restore waits to be approved, and how', async () => {
  const command = app.start('restore', 'latest', '--source', 'shop', '--mode', 'replace', '--json');
  const workflowId = await until('the word that it waits', async () => {
    return /waits to be approved[^]*--workflow-id (\S+) --name abort/.exec(command.output.stderr)?.[1];
  });
  assert.equal(command.output.stdout, '');
  const { workflow } = await app.temporal();
  await workflow.getHandle(workflowId).executeUpdate('abort', { args: [{ by: 'Ada' }] });
  const { stdout } = await command.ended;
  assert.equal((JSON.parse(stdout) as RestoreResult).abortedBy?.by, 'Ada');
});

test('the printed commands drop the database of before also where it has subscriptions', async (context) => {
  const publisher = await createDatabase(context);
  const { name } = app.database;
  await runSql(
    app.database,
    `create subscription "to news" connection 'dbname=${publisher.name}' publication news with (connect = false, slot_name = 'kept');
     alter database ${name} set default_transaction_read_only = on`,
  );
  const args = ['latest', '--source', 'shop', '--mode', 'replace', '--confirm', name, '--skip-safety-backup'];
  const { code, document } = await restore(app, ...args);
  assert.equal(code, 0, JSON.stringify(document));
  const { kept } = document;
  assert.ok(kept);
  assert.equal(await countCustomers(app), ROWS);
  typeIntoPsql(inPsql(kept.name, kept.parting, kept.drop));
  assert.deepEqual(await onServer(`select from pg_database where datname = '${kept.name}'`), []);
});

function typeIntoPsql(lines: readonly string[]): void {
  const { binDirectory, host, port, user, password } = testPostgres();
  const env = { ...process.env, PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password };
  execFileSync(join(binDirectory, 'psql'), ['-X', '-v', 'ON_ERROR_STOP=1', 'postgres'], {
    input: lines.join('\n'),
    env,
  });
}
