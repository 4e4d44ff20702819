import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { runSql } from '../core/postgres/support.ts';
import { onServer } from '../core/restore/support.ts';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { assertInputRefused } from '../support/refusedInput.ts';
import {
  assertUntouched,
  changeShop,
  dropRestored,
  restore,
  ROWS,
  countCustomers,
  startRestore,
  untilPhase,
} from '../support/restores.ts';
import { createDatabase } from '../support/servers.ts';
import { fillSmallShop } from '../support/smallShop.ts';
import { fileOf, flipBit } from '../support/storedFiles.ts';

/** Restores that are refused before anything changes: what is said, and with which exit code. */

const scope = fileScope();
let app: Application;
let backup: string;
let role: string;

before(async () => {
  app = await createApplication(scope);
  const { settings, database } = app;
  role = `owner_${database.name}`;
  await fillSmallShop(app);
  await runSql(database, `create role ${role}; create table owned (id int); alter table owned owner to ${role}`);
  scope.after(() => runSql(database, `drop owned by ${role}; drop role ${role}`));
  const { shop } = settings.sources;
  const own = shop?.database;
  assert.ok(shop && own);
  const store = await createDatabase(scope);
  await runSql(store, 'create table executions (); create table history_node (); create table schema_version ()');
  Object.assign(settings.sources, {
    trees: { files: shop.files },
    catalog: { database: { ...own, name: app.catalogDatabase.name } },
    temporal: { database: { ...own, name: store.name } },
  });
  const [plan] = Object.values(settings.plans ?? {});
  assert.ok(plan);
  for (const source of ['trees', 'catalog', 'temporal'])
    Object.assign(settings.plans ?? {}, { [source]: { ...plan, source } });
  await app.save();
  await app.startWorker();
  for (const source of ['trees', 'catalog', 'temporal']) assert.equal((await app.backup(source)).code, 0, source);
  const { code, document } = await app.backup('shop', '--plan', 'shop');
  assert.equal(code, 0, JSON.stringify(document));
  backup = document.id;
  await changeShop(app);
  scope.after(() => dropRestored(app));
});

const shop = ['--source', 'shop'];
/** Arguments, exit code and what is said. */
const refusals: Record<string, [() => string[], number, RegExp]> = {
  'an id that is none': [() => ['20200101T000000Z-aaaaaa', ...shop], 2, /20200101T000000Z-aaaaaa.*\d{8}T\d{6}Z-/s],
  'an id of another time: the source has its own': [
    () => ['2099', '--source', 'catalog'],
    2,
    /There is no backup 2099 Did you mean one of: \d{8}T\d{6}Z-\w{6}\?$/,
  ],
  'a backup of another source': [() => [backup, '--source', 'catalog'], 2, /is of source shop, not catalog/],
  'a source that is not configured': [() => ['latest', '--source', 'shopp'], 2, /no source shopp.*shop/s],
  'no source, where there are several': [() => ['latest'], 2, /Of which source.*--source/s],
  'a source without a database': [() => ['latest', '--source', 'trees'], 2, /trees has no database/],
  'a time that is none': [() => ['latest', ...shop, '--before', 'yesterday'], 2, /yesterday is no time/],
  'a time before every backup': [
    () => ['latest', ...shop, '--before', '2020-01-01T00:00:00Z'],
    2,
    /no backup .*before 2020/,
  ],
  'a time beside an id': [() => [backup, ...shop, '--before', '2026-01-01T00:00:00Z'], 2, /names one by its id/],
  'a confirm that does not match': [
    () => ['latest', ...shop, '--mode', 'replace', '--confirm', 'shop'],
    2,
    /confirm names shop/,
  ],
  'a confirm where nothing is replaced': [
    () => ['latest', ...shop, '--confirm', app.database.name],
    2,
    /replaces nothing/,
  ],
  'a target that is no name': [() => ['latest', ...shop, '--target', 'a b'], 2, /"a b" is no name/],
  'a target longer than 63 bytes': [() => ['latest', ...shop, '--target', 'ä'.repeat(32)], 2, /64 bytes/],
  'another target to replace': [() => ['latest', ...shop, '--mode', 'replace', '--target', 'other'], 2, /not of other/],
  'some tables to replace all': [
    () => ['latest', ...shop, '--mode', 'replace', '--table', 'customers'],
    2,
    /never replaced by some/,
  ],
  'a table that the backup does not have': [() => ['latest', ...shop, '--table', 'nothing'], 2, /nothing/],
  'a backend that is not configured': [() => ['latest', ...shop, '--backend', 'nera'], 2, /no backend nera.*near/s],
  '[26] a target that exists': [() => ['latest', ...shop, '--target', app.catalogDatabase.name], 4, /exists already/],
  "[26] a target that is the server's own": [
    () => ['latest', ...shop, '--target', 'postgres'],
    4,
    /belongs to the server/,
  ],
  '[26] to replace the catalog': [
    () => ['latest', '--source', 'catalog', '--mode', 'replace'],
    4,
    /Holdfast's catalog/,
  ],
  "[26] to replace Temporal's store": [
    () => ['latest', '--source', 'temporal', '--mode', 'replace'],
    4,
    /Temporal's store/,
  ],
};

describe('is refused, and changes nothing:', { concurrency: 3 }, () => {
  for (const [what, [args, code, message]] of Object.entries(refusals)) {
    test(what, async () => {
      const answer = await restore(app, ...args());
      assert.equal(answer.code, code, JSON.stringify(answer.document));
      assert.match(`${answer.document.error?.message} ${answer.document.error?.advice}`, message);
      await assertUntouched(app, [app.database.name], 10);
    });
  }
});

test('[26] a form filled in wrongly ends the run at once, and shows a right one', async () => {
  const right = /A right input is \{"source"/;
  for (const input of [
    undefined,
    {},
    { source: 'shop', mode: 'over' },
    { source: 'shop', unknown: 1 },
    { source: 'shop', jobs: 0 },
  ])
    await assertInputRefused(app, 'restore', [input], right);
  await assertInputRefused(app, 'restore', [{ source: 'shop', mode: 'new', safetyBackup: 'skip' }], /replaces nothing/);
});

test('[26] missing roles are named with what creates them, and created on request', async () => {
  await runSql(app.database, `alter table owned owner to current_user`);
  await onServer(`drop role ${role}`);
  const refused = await restore(app, 'latest', ...shop);
  assert.equal(refused.code, 4, JSON.stringify(refused.document));
  assert.match(refused.document.error?.message ?? '', new RegExp(role));
  assert.match(refused.document.error?.advice ?? '', new RegExp(`CREATE ROLE ${role}`));
  const { code, document } = await restore(app, 'latest', ...shop, '--create-roles');
  assert.equal(code, 0, JSON.stringify(document));
  assert.deepEqual(document.createdRoles, [role]);
  assert.equal(document.reconciliation?.equal, true);
  await dropRestored(app);
});

test('two restores at once: the second waits, or is refused with the first one named', async () => {
  const first = await startRestore(app, { source: 'shop', mode: 'replace', confirm: app.database.name });
  await untilPhase(first, 'safety backup');
  const refused = await restore(app, 'latest', ...shop, '--when-busy', 'refuse');
  assert.equal(refused.code, 4, JSON.stringify(refused.document));
  assert.match(refused.document.error?.message ?? '', new RegExp(`shop is busy: the restore ${first.workflowId}`));
  const second = await restore(app, 'latest', ...shop);
  assert.equal(second.code, 0, JSON.stringify(second.document));
  await first.result();
  assert.equal(await countCustomers(app), ROWS);
  await dropRestored(app);
  await changeShop(app);
});

describe('copies that are not good', () => {
  test('[24] a damaged one is passed over and reported', async () => {
    const made = await app.backup('shop', '--plan', 'shop', '--kind', 'database');
    await flipBit(fileOf(app, 'local', made.document.id, 'database.dump.zst.enc'));
    const { code, document } = await restore(app, made.document.id, ...shop, '--backend', 'local', 'near');
    assert.equal(code, 0, JSON.stringify(document));
    assert.equal(document.backend, 'near');
    assert.deepEqual(
      document.passedOver.map(({ backend }) => backend),
      ['local'],
    );
    await dropRestored(app);
  });

  test('[24] an older one in place of a newest that cannot be trusted makes it degraded', async () => {
    const made = await app.backup('shop', '--plan', 'shop', '--kind', 'database');
    const manifests = ['local', 'near'].map((name) => fileOf(app, name, made.document.id, 'manifest.json'));
    for (const file of manifests) await flipBit(file);
    try {
      const { code, document } = await restore(app, 'latest', ...shop, '--backend', 'local', 'near');
      assert.deepEqual([code, document.state], [3, 'degraded'], JSON.stringify(document));
      const { newer = [], passedOver = [] } = document.plan ?? {};
      assert.deepEqual(
        newer.map((line) => line.split('/', 2).join('/')),
        ['local: shop/manual', 'near: shop/manual'],
      );
      assert.deepEqual(passedOver, [], 'told once');
      await dropRestored(app);
    } finally {
      for (const file of manifests) await flipBit(file);
    }
  });

  test('[24] without a good one nothing is restored', async () => {
    const made = await app.backup('shop', '--plan', 'shop', '--kind', 'database');
    await flipBit(fileOf(app, 'local', made.document.id, 'database.dump.zst.enc'));
    const { code, document } = await restore(app, made.document.id, ...shop, '--backend', 'local');
    assert.equal(code, 1, JSON.stringify(document));
    assert.equal(document.error?.type, 'ObjectDamaged');
    await assertUntouched(app, [app.database.name], 10);
  });

  test('[23] without the key that opens it nothing is begun, and the key is named', async () => {
    await withoutKey('ops.key', randomBytes(32).toString('base64'), async () => {
      const { code, document } = await restore(app, backup, ...shop);
      assert.equal(code, 1, JSON.stringify(document));
      assert.equal(document.error?.type, 'KeyMissing');
      await assertUntouched(app, [app.database.name], 10);
    });
  });
});

test('[26] a safety backup that fails keeps everything as it is, unless it is done without', async () => {
  const { plans, backends } = app.settings;
  assert.ok(plans?.['shop'] && backends.near?.type === 's3');
  // The storage that is read from answers, the one to write to does not.
  backends['away'] = { ...backends.near, bucket: 'no-such-bucket' };
  const broken = { ...plans['shop'], backends: ['away'], copies: { required: 1 } };
  Object.assign(plans, { shop: broken });
  await withOtherQueue(async () => {
    const args = [backup, ...shop, '--backend', 'near', '--mode', 'replace', '--confirm', app.database.name];
    const { code, document } = await restore(app, ...args);
    assert.equal(code, 1, JSON.stringify(document));
    assert.match(document.error?.message ?? '', /could not be backed up/);
    assert.match(document.error?.advice ?? '', /--skip-safety-backup/);
    await assertUntouched(app, [app.database.name], 10);
    const skipped = await restore(app, ...args, '--skip-safety-backup');
    assert.equal(skipped.code, 0, JSON.stringify(skipped.document));
    assert.equal(await countCustomers(app), ROWS);
  });
});

test('[26] a role that is no superuser replaces a database, with the rights that the guide names and not without', async () => {
  const owned = await createDatabase(scope);
  const [owner, restorer] = [`keeper_${owned.name}`, `restorer_${owned.name}`];
  await runSql(
    owned,
    `create role ${owner}; create role ${restorer} login password 'restorer';
     alter database ${owned.name} owner to ${owner}; set role ${owner}; create table kept as select 1 as id`,
  );
  scope.after(async () => {
    for (const { datname } of await onServer(
      `select datname from pg_database where starts_with(datname, '${owned.name}')`,
    ))
      await onServer(`drop database "${String(datname)}" with (force)`);
    await onServer(`drop role ${owner}, ${restorer}`);
  });
  const { sources, plans } = app.settings;
  const own = sources['shop']?.database;
  assert.ok(own && plans?.['shop']);
  const password = await app.writeSecret('restorer', 'restorer');
  Object.assign(sources, { owned: { database: { ...own, name: owned.name }, restore: { user: restorer, password } } });
  Object.assign(plans, { owned: { ...plans['catalog'], source: 'owned' } });
  await withOtherQueue(async () => {
    assert.equal((await app.backup('owned')).code, 0);
    const args = ['latest', '--source', 'owned', '--mode', 'replace', '--confirm', owned.name];
    const refused = await restore(app, ...args);
    assert.equal(refused.code, 4, JSON.stringify(refused.document));
    assert.match(refused.document.error?.message ?? '', /may not create databases.*cannot give.*may not rename/s);
    await onServer(`alter role ${restorer} createdb`);
    await onServer(`grant ${owner} to ${restorer}; grant pg_signal_backend to ${restorer}`);
    await runSql(owned, 'insert into kept values (2)');
    const { code, document } = await restore(app, ...args);
    assert.equal(code, 0, JSON.stringify(document));
    assert.equal(document.reconciliation?.equal, true);
    const [row] = await onServer(
      `select pg_get_userbyid(datdba) as owner from pg_database where datname = '${owned.name}'`,
    );
    assert.equal(row?.['owner'], owner);
  });
});

/** A worker that has another key under this name. */
async function withoutKey(name: string, value: string, use: () => Promise<void>): Promise<void> {
  const file = join(app.home, 'secrets', name);
  await rename(file, `${file}.away`);
  await app.writeSecret(name, value);
  try {
    await withOtherQueue(use);
  } finally {
    await rename(`${file}.away`, file);
  }
}

/** A worker of its own with the settings as they are now. */
async function withOtherQueue(use: () => Promise<void>): Promise<void> {
  const queue = app.settings.temporal.taskQueue;
  app.settings.temporal.taskQueue = `${queue}-other`;
  await app.save();
  const worker = await app.startWorker();
  try {
    await use();
  } finally {
    await worker.close();
    app.settings.temporal.taskQueue = queue;
    await app.save();
  }
}
