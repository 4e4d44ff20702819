import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHoldfastError } from '../../../../core/errors.ts';
import { reconcile } from '../../../../core/restore/reconcile/reconcile.ts';
import { createDatabase } from '../../../support/servers.ts';
import { accessTo, fixtureSql, openSession, runSql } from '../../postgres/support.ts';
import { backUp, databasesLike, newTarget, restore } from '../support.ts';

const ODD = `Odd "Schema".x.täble.with $dots "and" ünïcode 63 bytes lÖng xxxxxxxxxxxx`;

test('single tables come with their partitions, types, sequences, indexes and triggers, and with nothing else', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await runSql(source, await fixtureSql());
  await runSql(
    source,
    'create schema other; create table other.duplicates (v text); insert into other.duplicates values (1)',
  );
  const backup = await backUp(context, source, { dump: { jobs: 2 } });
  const tables = ['customers', 'public.parts', ODD, 'public.duplicates', 'votes'];
  const restored = await restore(backup, target, { tables });
  assert.deepEqual(restored.warnings, ['Large objects are not restored with single tables.']);

  const session = await openSession(context, target);
  const names = async (sql: string) => (await session.query<{ name: string }>(sql)).rows.map(({ name }) => name);
  const there = await names(
    `select relname as name from pg_class where relkind in ('r', 'p') and relnamespace::regnamespace::text !~ '^(pg_|information)' order by relname collate "C"`,
  );
  assert.deepEqual(there, [
    'customers',
    'duplicates',
    'parts',
    'parts_eu',
    'parts_rest',
    'parts_us',
    'parts_us_1',
    'täble.with $dots "and" ünïcode 63 bytes lÖng xxxxxxxxxxxx',
    'votes',
    'votes_0',
    'votes_1',
  ]);
  assert.deepEqual(
    await names(`select tgname as name from pg_trigger where tgrelid = 'customers'::regclass and not tgisinternal`),
    ['touch'],
  );
  assert.deepEqual(
    await names(
      `select indexrelid::regclass::text as name from pg_index where indrelid = 'customers'::regclass order by 1`,
    ),
    ['customers_pkey', 'customers_trgm'],
  );
  await session.query(`insert into customers (name) values ('ann')`);
  await session.query('delete from customers where id > 300');
  const result = await reconcile({ database: accessTo(target), expected: backup.inventory, tables });
  assert.equal(result.equal, true, JSON.stringify(result.differences));
  assert.equal(result.compared.tables, there.length);
  await session.query('drop table votes');
  const without = await reconcile({ database: accessTo(target), expected: backup.inventory, tables });
  assert.deepEqual(
    without.differences
      .filter(({ severity }) => severity === 'difference')
      .map(({ object, what }) => `${object} ${what}`),
    ['public.votes presence'],
  );
});

test('a table without the one it refers to comes without the reference, and says so', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await runSql(source, await fixtureSql());
  const backup = await backUp(context, source);
  const restored = await restore(backup, target, { tables: ['orders'] });
  assert.match(restored.warnings.join(), /fk constraint public orders orders_customer_fkey/);
  const result = await reconcile({ database: accessTo(target), expected: backup.inventory, tables: ['orders'] });
  assert.equal(result.equal, true, JSON.stringify(result.differences));
  assert.equal(result.compared.rows, '20000');
});

test('[26] a table that is not there is refused with the nearest names, before anything is made', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await runSql(
    source,
    'create schema a; create schema b; create table a.t (v int); create table b.t (v int); create table orders (v int)',
  );
  const backup = await backUp(context, source);
  await assert.rejects(
    restore(backup, target, { tables: ['ordres'] }),
    (error) => isHoldfastError(error, 'InvalidInput') && /public\.orders/.test(error.advice ?? ''),
  );
  await assert.rejects(restore(backup, target, { tables: ['t'] }), /More than one schema has a table t/);
  assert.deepEqual(await databasesLike(target.name), []);
});

test('a table that inherits comes with the definitions of its parents, and without their rows', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await runSql(
    source,
    `create table grand (g int); insert into grand values (7); create table par (a int) inherits (grand); insert into par values (6, 1);
     create schema "Odd one"; create table "Odd one".chi (b int) inherits (par); insert into "Odd one".chi values (5, 2, 3);
     create table used (v int); insert into used values (1);
     create function filled(used) returns int stable language sql begin atomic select count(*)::int from used; end;
     create table calls (n int default filled(null)); insert into calls values (8);
     create table cut (at int) partition by range (at); create table cut_1 partition of cut for values from (0) to (10); insert into cut values (1)`,
  );
  const backup = await backUp(context, source);
  const tables = ['chi', 'calls', 'cut'];
  const restored = await restore(backup, target, { tables });
  assert.deepEqual(restored.warnings.toSorted(), [
    'Without its rows, because only its definition is needed: table public grand',
    'Without its rows, because only its definition is needed: table public par',
    'Without its rows, because only its definition is needed: table public used',
  ]);
  const compare = () => reconcile({ database: accessTo(target), expected: backup.inventory, tables });
  assert.deepEqual((await compare()).differences, []);
  await runSql(target, `delete from cut; delete from only "Odd one".chi; insert into used values (2)`);
  assert.deepEqual(
    (await compare()).differences
      .map(({ object, what, expected, found }) => `${object} ${what} ${expected} ${found}`)
      .filter((line) => line.includes(' rows ')),
    ['"Odd one".chi rows 1 0', 'public.cut_1 rows 1 0', 'public.used rows 0 1'],
  );
});
