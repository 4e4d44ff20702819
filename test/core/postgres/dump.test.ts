import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, endSession } from '../../../core/postgres/access.ts';
import { createDatabase } from '../../support/servers.ts';
import { accessTo, comparable, dumpInto, fixtureSql, runProgram, runSql } from './support.ts';

test('a dump restored with plain pg_restore equals the source, object by object', async (context) => {
  const [source, target] = await Promise.all([createDatabase(context), createDatabase(context)]);
  await runSql(source, await fixtureSql());
  // What a database sets for its sessions must change neither the dump nor the inventory.
  await runSql(
    source,
    `alter database ${source.name} set standard_conforming_strings = off;
     alter database ${source.name} set client_encoding = 'LATIN1';
     alter database ${source.name} set statement_timeout = '1s'; alter database ${source.name} set idle_session_timeout = '1s'`,
  );
  const before = await dumpInto(context, accessTo(source));
  assert.deepEqual(before.parts, ['database', 'schema', 'globals', 'inventory']);

  await runProgram(target, 'pg_restore', ['--exit-on-error', '-d', target.name, join(before.directory, 'database')]);
  const after = await dumpInto(context, accessTo(target));
  assert.deepEqual(comparable(after.inventory), comparable(before.inventory));
});

test('with jobs the parts together restore to the same', async (context) => {
  const [source, target] = await Promise.all([createDatabase(context), createDatabase(context)]);
  await runSql(source, await fixtureSql());
  const before = await dumpInto(context, accessTo(source), { jobs: 3 });
  assert.deepEqual(before.parts, ['database', 'rows-1', 'rows-2', 'schema', 'globals', 'inventory']);

  const restore = (part: string, ...args: string[]) =>
    runProgram(target, 'pg_restore', ['--exit-on-error', '-d', target.name, ...args, join(before.directory, part)]);
  await restore('schema', '--section=pre-data');
  await Promise.all(['database', 'rows-1', 'rows-2'].map((part) => restore(part, '--section=data')));
  await restore('schema', '--section=post-data');
  const after = await dumpInto(context, accessTo(target));
  assert.deepEqual(comparable(after.inventory), comparable(before.inventory));

  for (const part of ['rows-1', 'rows-2']) {
    const list = await runProgram(target, 'pg_restore', ['--list', join(before.directory, part)]);
    assert.match(list, /TABLE DATA/, `${part} holds rows`);
  }
});

test('[7] the inventory tells a changed row, a lost duplicate, a moved null and a changed definition', async (context) => {
  const source = await createDatabase(context);
  await runSql(source, await fixtureSql());
  const before = (await dumpInto(context, accessTo(source))).inventory;
  const tableOf = (inventory: typeof before, name: string) => inventory.tables.find((table) => table.name === name);
  assert.deepEqual(tableOf(before, 'duplicates')?.rows, '6');
  assert.deepEqual(before.migrationTables, ['public.django_migrations']);
  assert.equal(before.largeObjects.count, '3');

  await runSql(
    source,
    `alter table duplicates disable rule no_delete;
     delete from duplicates where ctid = (select min(ctid) from duplicates where v = 'x');
     insert into duplicates values ('y');
     update orders set j = jsonb_set(j, '{i}', '0') where id = 17;
     update customers set born = null, note = born::text where id = 5;
     alter table orders drop constraint sane, add constraint sane check (amount > 0.1);
     select lowrite(lo_open((select max(oid) from pg_largeobject_metadata), 131072), 'x')`,
  );
  const after = (await dumpInto(context, accessTo(source))).inventory;
  for (const name of ['duplicates', 'orders', 'customers']) {
    assert.equal(tableOf(after, name)?.rows, tableOf(before, name)?.rows);
    assert.notEqual(tableOf(after, name)?.fingerprint, tableOf(before, name)?.fingerprint, name);
  }
  assert.equal(tableOf(after, 'parts_eu')?.fingerprint, tableOf(before, 'parts_eu')?.fingerprint);
  assert.notEqual(after.largeObjects.fingerprint, before.largeObjects.fingerprint);
  const changed = after.objects.filter(
    (object) =>
      before.objects.find((other) => other.kind === object.kind && other.identity === object.identity)?.definition !==
      object.definition,
  );
  assert.deepEqual(
    changed.map((object) => object.identity),
    ['sane on public.orders', 'no_delete on public.duplicates'],
  );
});

test('[7] the inventory tells a lost comment of a large object and rows lost among shuffled partitions', async (context) => {
  const source = await createDatabase(context);
  await runSql(source, await fixtureSql());
  const before = (await dumpInto(context, accessTo(source))).inventory;
  const rows = (inventory: typeof before) =>
    inventory.tables.filter(({ name }) => name.startsWith('votes')).map((table) => [table.name, table.rows]);
  assert.deepEqual(rows(before), [
    ['votes', '20000'],
    ['votes_0', undefined],
    ['votes_1', undefined],
  ]);
  await runSql(
    source,
    `insert into votes values (0, 'a');
     do $$ begin execute format('comment on large object %s is null', (select min(oid) from pg_largeobject_metadata)); end $$`,
  );
  const after = (await dumpInto(context, accessTo(source))).inventory;
  assert.equal(rows(after)[0]?.[1], '20001');
  assert.notEqual(after.largeObjects.privileges, before.largeObjects.privileges);
  assert.equal(after.largeObjects.fingerprint, before.largeObjects.fingerprint);
});

test('the detail of the inventory is what the plan says', async (context) => {
  const source = await createDatabase(context);
  await runSql(source, 'create table t (v int); insert into t values (1), (2)');
  const table = async (inventory: 'counts' | 'off') =>
    (await dumpInto(context, accessTo(source), { inventory })).inventory.tables;
  const identity = { schema: 'public', name: 't', kind: 'table' };
  assert.deepEqual(await table('counts'), [{ ...identity, rows: '2' }]);
  assert.deepEqual(await table('off'), [identity]);
});

test('the globals carry roles and what belongs to the database itself, for a database of any name', async (context) => {
  const [source, target] = await Promise.all([createDatabase(context), createDatabase(context)]);
  await runSql(
    source,
    `alter database ${source.name} set search_path = "$user", 'a "b', public;
     alter database ${source.name} set app.motto = 'it''s \\ fine';
     alter role ${source.user} in database ${source.name} set work_mem = '7MB';
     comment on database ${source.name} is 'the ''shop''';
     revoke connect on database ${source.name} from public; grant connect, create on database ${source.name} to pg_monitor with grant option`,
  );
  const before = await dumpInto(context, accessTo(source));
  const sql = await readFile(join(before.directory, 'globals'), 'utf8');
  assert.match(sql, new RegExp(`CREATE ROLE ${source.user}`));
  assert.doesNotMatch(sql, /SCRAM-SHA-256|PASSWORD/);
  const own = sql.slice(sql.indexOf('-- Settings of the database itself'));

  const file = join(before.directory, 'own.sql');
  await writeFile(file, own);
  await runProgram(target, 'psql', [
    '-qX',
    '-v',
    'ON_ERROR_STOP=1',
    '-v',
    `holdfast_database=${target.name}`,
    '-f',
    file,
  ]);
  const after = await dumpInto(context, accessTo(target));
  const settings = ({ inventory }: typeof before) => ({ ...inventory.database, name: '' });
  assert.equal(before.inventory.database.settings.length, 3);
  assert.deepEqual(settings(after), settings(before));

  const withPasswords = await dumpInto(context, accessTo(source, { rolePasswords: true }));
  assert.match(await readFile(join(withPasswords.directory, 'globals'), 'utf8'), /PASSWORD 'SCRAM-SHA-256/);
});

test('a statement_timeout of the database that ends everything at once does not end our sessions', async (context) => {
  const source = await createDatabase(context);
  await runSql(source, `alter database ${source.name} set statement_timeout = '1ms'`);
  for (let count = 0; count < 5; count += 1) {
    const client = await connect(accessTo(source));
    await client.query('select pg_sleep(0.01)');
    await endSession(client);
  }
});
