import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createDatabase, type TestDatabase } from '../../support/servers.ts';
import { accessTo, comparable, dumpInto, runProgram, runSql } from './support.ts';

async function createDatabaseIn(context: TestContext, encoding: string, locale = ''): Promise<TestDatabase> {
  const database = await createDatabase(context);
  await runSql({ ...database, name: 'postgres' }, `drop database ${database.name}`);
  await runSql(
    { ...database, name: 'postgres' },
    `create database ${database.name} template template0 encoding '${encoding}' lc_collate 'C' lc_ctype 'C' ${locale}`,
  );
  return database;
}

async function assertRestores(context: TestContext, encoding: string, sql: string): Promise<string> {
  const source = await createDatabaseIn(context, encoding);
  await runSql(source, sql);
  const target = await createDatabaseIn(context, encoding);
  const before = await dumpInto(context, accessTo(source), { jobs: 2 });
  assert.ok(before.parts.includes('rows-1'));
  for (const args of [['--section=pre-data', 'schema'], ['database'], ['rows-1'], ['--section=post-data', 'schema']]) {
    const [section = '', part = section] = args;
    await runProgram(target, 'pg_restore', [
      '--exit-on-error',
      '-d',
      target.name,
      args.length === 2 ? section : '--section=data',
      join(before.directory, part),
    ]);
  }
  const after = await dumpInto(context, accessTo(target));
  assert.deepEqual(comparable(after.inventory), comparable(before.inventory));
  return readFile(join(before.directory, 'globals'), 'utf8');
}

const ROWS = `create table big as select md5(i::text) as a, md5(i::text) as b from generate_series(1, 20000) i;`;

test('a database in LATIN1 comes back, and its globals are UTF-8', async (context) => {
  const globals = await assertRestores(
    context,
    'LATIN1',
    `${ROWS} create table "tàble" ("cöl" text default 'é'); insert into "tàble" values ('ÿ');
     do $$ begin execute format('comment on database %I is %L', current_database(), 'ünï'); end $$`,
  );
  assert.match(globals, /SET client_encoding = 'UTF8'/);
  assert.match(globals, /COMMENT ON DATABASE .* IS 'ünï'/);
});

test('a database in SQL_ASCII may hold bytes that are no UTF-8, in rows and in definitions', async (context) => {
  await assertRestores(
    context,
    'SQL_ASCII',
    String.raw`${ROWS} create table t (v text default E'\xe9'); insert into t values (E'\xe9'), (E'\xff\xfe'), ('é');
     create view w as select E'\xe9'::text as x; comment on table t is E'\xe9'`,
  );
});

test('the globals say how to make a database of the same locale', async (context) => {
  const source = await createDatabaseIn(context, 'UTF8', "locale_provider icu icu_locale 'de-u-ks-level2'");
  const { directory, inventory } = await dumpInto(context, accessTo(source));
  assert.equal(inventory.database.localeProvider, 'icu');
  assert.equal(inventory.database.locale, 'de-u-ks-level2');
  const globals = await readFile(join(directory, 'globals'), 'utf8');
  const statement = /^-- CREATE DATABASE [^;]*;$/m.exec(globals)?.[0].replaceAll(/^-- /gm, '') ?? '';
  assert.match(statement, new RegExp(source.name));

  const maintenance = { ...source, name: 'postgres' };
  await runSql(maintenance, `drop database ${source.name}`);
  await runSql(maintenance, statement);
  const again = await dumpInto(context, accessTo(source));
  assert.deepEqual(again.inventory.database, inventory.database);
});
