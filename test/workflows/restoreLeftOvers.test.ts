import assert from 'node:assert/strict';
import { afterEach, before, test } from 'node:test';
import { databaseNameWith, restoreMark } from '../../core/restore/names.ts';
import { createTarget } from '../../core/restore/database/targetDatabase.ts';
import { markedComment, newAttempt } from '../../core/restore/database/targetMark.ts';
import type { SweepResult } from '../../core/sweep/run.ts';
import { runSql } from '../core/postgres/support.ts';
import { maintenance, onServer } from '../core/restore/support.ts';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { changeShop, countCustomers, databasesOf, dropRestored, restore } from '../support/restores.ts';
import { createDatabase } from '../support/servers.ts';
import { fillSmallShop } from '../support/smallShop.ts';

/** What restores left that died, and what people made of it: what the next one drops, and what it only speaks of. */

const scope = fileScope();
/** Of a restore whose unfinished database another source names as its own. */
const CONFIGURED = '20261120_020000_cccccc';
let app: Application;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  const { sources } = app.settings;
  const { database } = sources['shop'] ?? {};
  assert.ok(database);
  const name = databaseNameWith(app.database.name, 'restoring', CONFIGURED);
  Object.assign(sources, { other: { database: { ...database, name } } });
  await app.save();
  await app.startWorker();
  const { code, document } = await app.backup('shop', '--kind', 'database');
  assert.equal(code, 0, JSON.stringify(document));
  await changeShop(app);
});

afterEach(() => dropRestored(app));

test('[27] what a dead restore left is dropped, named in the plan and in the report', async () => {
  const left = await leaveUnfinished('20261120_020000_aaaaaa');
  const planned = await restore(app, 'latest', '--source', 'shop', '--dry-run');
  assert.equal(planned.code, 0, JSON.stringify(planned.document));
  const messages = (planned.document.plan?.findings ?? []).map(({ message }) => message).join('\n');
  assert.match(messages, new RegExp(`database ${left} .*unfinished`));
  assert.ok((await databasesOf(app)).includes(left), 'a dry run drops nothing');
  const { code, document } = await restore(app, 'latest', '--source', 'shop', '--target', `${app.database.name}_look`);
  assert.equal(code, 0, JSON.stringify(document));
  assert.deepEqual(await databasesOf(app), [app.database.name, `${app.database.name}_look`]);
  assert.match(document.warnings.join('\n'), new RegExp(`${left}.*was dropped`));
});

test('[27] an unfinished database that somebody put in place by hand is never dropped: it is said to be there', async () => {
  const { name } = app.database;
  const left = await leaveUnfinished('20261120_020000_bbbbbb');
  await onServer(`alter database ${name} rename to ${name}_old`);
  await onServer(`alter database ${left} rename to ${name}`);
  try {
    await runSql(app.database, "create table since as select 'written by the application' as row");
    const { code, document } = await restore(app, 'latest', '--source', 'shop', '--target', `${name}_look`);
    assert.equal(code, 0, JSON.stringify(document));
    const said = document.warnings.join('\n');
    assert.match(said, new RegExp(`${name} .*is left alone`));
    assert.match(said, new RegExp(`DROP DATABASE "?${name}"?.*COMMENT ON DATABASE "?${name}"? IS NULL`));
    const swept = await app.ask('sweep', '--older-than', '0s');
    const { kept } = (swept.document as SweepResult).reports.find(({ place }) => place === 'restores') ?? {};
    assert.ok(kept?.some(({ folder }) => folder === name));
    await runSql(app.database, 'select from since');
  } finally {
    await onServer(`drop database if exists ${name} with (force)`);
    await onServer(`alter database ${name}_old rename to ${name}`);
  }
});

test('[27] neither a name of the configuration, nor what was renamed, nor a copied comment, nor a store of ours is dropped', async (context) => {
  const configured = await leaveUnfinished(CONFIGURED);
  const copied = await createDatabase(context);
  const mark = markOf('20261120_020000_dddddd');
  const forged = markedComment({ mark, attempt: newAttempt() }, { oid: '1', name: copied.name });
  await onServer(`comment on database ${copied.name} is '${forged}'`);
  const renamed = `${app.database.name}_mine`;
  await onServer(`alter database ${await leaveUnfinished('20261120_020000_ffffff')} rename to ${renamed}`);
  const store = await leaveUnfinished('20261120_020000_eeeeee');
  await runSql(
    { ...app.database, name: store },
    'create table executions (); create table history_node (); create table schema_version ()',
  );
  const { code, document } = await restore(app, 'latest', '--source', 'shop', '--target', `${app.database.name}_look`);
  assert.equal(code, 0, JSON.stringify(document));
  const there = await onServer(
    `select datname from pg_database where datname in ('${configured}', '${copied.name}', '${renamed}', '${store}')`,
  );
  assert.equal(there.length, 4, JSON.stringify(there));
  const said = document.warnings.join('\n');
  assert.match(said, new RegExp(`${renamed} .*is left alone: it is not, or no longer, what a restore made`));
  assert.match(said, new RegExp(`${store} .*Temporal's store`));
  assert.match(said, new RegExp(`${configured} .*the configuration names it`));
});

test('[27] a given name is the name of what is whole: until then the database is called otherwise', async () => {
  const target = `${app.database.name}_given`;
  const { code, document } = await restore(app, 'latest', '--source', 'shop', '--target', target);
  assert.equal(code, 0, JSON.stringify(document));
  assert.match(document.plan?.database?.target ?? '', /_restoring_/);
  assert.equal(document.database, target);
  assert.ok((await countCustomers(app, target)) > 10);
});

function markOf(id: string): string {
  return restoreMark(app.settings.temporal.taskQueue, 'shop', id);
}

/** As a restore leaves it whose worker was killed, and which was terminated then. */
async function leaveUnfinished(id: string): Promise<string> {
  const target = databaseNameWith(app.database.name, 'restoring', id);
  const form = { encoding: 'UTF8', collate: 'C', ctype: 'C', tablespace: 'pg_default', owner: '' };
  await createTarget({ server: maintenance(), target, mark: markOf(id), attempt: newAttempt() }, form);
  return target;
}
