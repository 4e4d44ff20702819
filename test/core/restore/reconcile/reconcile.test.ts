import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { reconcile } from '../../../../core/restore/reconcile/reconcile.ts';
import type { Reconciliation } from '../../../../core/restore/run.ts';
import { createDatabase } from '../../../support/servers.ts';
import { accessTo, createRole, fixtureSql, runSql } from '../../postgres/support.ts';
import { backUp, newTarget, restore } from '../support.ts';

/** What belongs to the database itself and to roles, beside the fixture's objects. */
function databaseSql(name: string): string {
  return `
    create role owner_${name}; create role app_${name}; grant owner_${name} to app_${name};
    alter database ${name} owner to owner_${name}; alter database ${name} connection limit 50;
    alter database ${name} set search_path = "$user", 'a "b', public; alter database ${name} set app.motto = 'it''s; \\ fine';
    alter role app_${name} in database ${name} set work_mem = '7MB'; comment on database ${name} is 'the "shop";';
    revoke connect on database ${name} from public; grant connect, create on database ${name} to app_${name} with grant option;
    alter table customers owner to owner_${name};
    alter default privileges for role owner_${name} in schema public grant select on tables to app_${name};
    create table cron_like_que (id int); create table que_jobs (id bigserial primary key, what text); insert into que_jobs (what) values ('mail');`;
}

async function restored(context: TestContext) {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await runSql(source, await fixtureSql());
  await runSql(source, databaseSql(source.name));
  const backup = await backUp(context, source);
  await restore(backup, target);
  const compare = () => reconcile({ database: accessTo(target), expected: backup.inventory });
  return { source, target, backup, compare };
}

function told({ differences }: Reconciliation, severity: 'difference' | 'remark' = 'difference'): string[] {
  return differences
    .filter((each) => each.severity === severity)
    .map(({ kind, object, what }) => `${kind} ${object}: ${what}`)
    .toSorted();
}

test('[7] a restored database is equal to its backup, with owners, settings and privileges of the database itself', async (context) => {
  const { backup, compare } = await restored(context);
  const result = await compare();
  assert.deepEqual(result.differences, []);
  assert.equal(result.equal, true);
  assert.equal(result.compared.tables, backup.inventory.tables.length);
  assert.equal(result.compared.objects, backup.inventory.objects.length);
  assert.equal(result.compared.largeObjects, '3');
  assert.ok(Number(result.compared.rows) > 75_000);
  assert.match(result.notices.join(), /que_jobs/);
  assert.match(result.notCarried.join(), /rows of foreign table public\.remote/);
});

test('[7] everything that is not as it was dumped is named', async (context) => {
  const { source, target, compare } = await restored(context);
  await runSql(
    target,
    `alter table duplicates disable rule no_delete;
     delete from duplicates where ctid = (select min(ctid) from duplicates);
     update orders set j = '{}' where id = 17;
     drop table escaped; create table surplus (id int);
     drop extension pg_trgm cascade;
     alter table customers owner to postgres; alter table customers enable trigger touch;
     alter table customers disable row level security;
     refresh materialized view later; alter event trigger watch enable;
     comment on table orders is 'another'; revoke select on orders from pg_monitor;
     alter default privileges in schema public revoke select on tables from pg_monitor;
     drop publication news; drop statistics spread;
     drop table django_migrations; delete from que_jobs;
     alter database ${target.name} reset app.motto; alter database ${target.name} set search_path = public; comment on database ${target.name} is 'mine';
     alter database ${target.name} owner to postgres;
     select setval('customers_id_seq', 7); select setval('counter', 5, false);
     select lo_unlink((select max(oid) from pg_largeobject_metadata))`,
  );
  const result = await compare();
  assert.equal(result.equal, false);
  assert.deepEqual(told(result), [
    'database setting app.motto: presence',
    'database setting search_path: value',
    `database ${target.name}: comment`,
    `database ${target.name}: owner`,
    `database ${target.name}: privileges`,
    'default acl for role postgres in schema public on tables: presence',
    'event trigger watch: definition',
    'extension pg_trgm: presence',
    'index public.customers_trgm: presence',
    'index public.escaped_path: presence',
    'large objects all: contents',
    'large objects all: count',
    'large objects all: owners, privileges or comments',
    'materialized view public.later: definition',
    'migration table public.django_migrations: presence',
    'publication news: presence',
    'publication relation public.customers in publication news: presence',
    'rule no_delete on public.duplicates: definition',
    'sequence public.counter: value',
    'sequence public.customers_id_seq: owner',
    'sequence public.customers_id_seq: privileges',
    'sequence public.customers_id_seq: value against public.customers.id',
    'statistics object public.spread: presence',
    'table public.customers: definition',
    'table public.customers: owner',
    'table public.customers: privileges',
    'table public.django_migrations: presence',
    'table public.duplicates: contents',
    'table public.duplicates: rows',
    'table public.escaped: presence',
    'table public.orders: comment',
    'table public.orders: contents',
    'table public.orders: privileges',
    'table public.que_jobs: contents',
    'table public.que_jobs: rows',
    'table public.surplus: presence',
    'trigger touch on public.customers: definition',
  ]);
  const rows = result.differences.find(({ object, what }) => object === 'public.duplicates' && what === 'rows');
  assert.deepEqual([rows?.expected, rows?.found], ['6', '5']);
  const rule = result.differences.find(({ kind, what }) => kind === 'rule' && what === 'definition');
  assert.deepEqual([rule?.expected, rule?.found], ['the dumped one', 'another']);
  assert.match(result.notices.join(), /holdfast extract BACKUP --part schema --as sql/);
  assert.equal(source.name === target.name, false);
});

test('[7] a sequence behind its column at the source stays a remark, and a role with other attributes too', async (context) => {
  const { source, target } = await restored(context);
  await runSql(source, `select setval('customers_id_seq', 7)`);
  const backup = await backUp(context, source);
  const second = await newTarget(context);
  await restore(backup, second);
  await runSql(target, `alter role app_${source.name} createdb`);
  const result = await reconcile({ database: accessTo(second), expected: backup.inventory });
  assert.equal(result.equal, true, JSON.stringify(result.differences));
  assert.deepEqual(told(result, 'remark'), [
    `role app_${source.name}: create database`,
    'sequence public.customers_id_seq: value against public.customers.id',
  ]);
});

test('[7] a subscription that the dumping role could not dump is told as not carried, and not expected back', async (context) => {
  const [source, target, whole] = [await createDatabase(context), await newTarget(context), await newTarget(context)];
  const role = await createRole(source, 'in role pg_read_all_data');
  await runSql(
    source,
    `create subscription "to News" connection 'dbname=nowhere' publication news with (connect = false, slot_name = none);
     comment on subscription "to News" is 'the news'`,
  );
  const backup = await backUp(context, source, { access: role });
  const bySuperuser = await backUp(context, source);
  assert.deepEqual(backup.inventory.notCarried, [{ kind: 'subscription', name: '"to News"' }]);
  await restore(backup, target);
  const result = await reconcile({ database: accessTo(target), expected: backup.inventory });
  assert.deepEqual(result.differences, []);
  assert.match(result.notCarried.join('\n'), /^subscription "to News" is not in the backup: .* superuser/);
  await restore(bySuperuser, whole);
  const carried = await reconcile({ database: accessTo(whole), expected: bySuperuser.inventory });
  assert.deepEqual(carried.differences, []);
  assert.match(carried.notCarried.join('\n'), /^subscription state "to News" is restored disabled/);
  // A reader who could not have dumped it sees that it is there all the same.
  const seen = await reconcile({ database: { ...role, name: whole.name }, expected: bySuperuser.inventory });
  assert.deepEqual(told(seen), []);
  for (const database of [source, whole]) await runSql(database, 'drop subscription "to News"');
});
