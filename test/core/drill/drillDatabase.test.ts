import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { describeDifference } from '../../../core/drill/differences.ts';
import { drillDatabase, type DrillDatabaseOptions } from '../../../core/drill/drillDatabase.ts';
import type { DrilledPart } from '../../../core/drill/run.ts';
import { dropScratchDatabase, scratchDatabase, type ScratchDatabase } from '../../../core/drill/scratch.ts';
import { HoldfastError, isHoldfastError } from '../../../core/errors.ts';
import { findClientPrograms } from '../../../core/postgres/clients.ts';
import { chooseRestorePrograms } from '../../../core/restore/database/restorePrograms.ts';
import { createDatabase, testPostgres, type TestDatabase } from '../../support/servers.ts';
import { openSession, runSql } from '../postgres/support.ts';
import { backUp, maintenance, onServer, type StoredDatabase } from '../restore/support.ts';

interface Ground {
  readonly source: TestDatabase;
  readonly scratch: ScratchDatabase;
}

async function prepare(context: TestContext, sql: string): Promise<Ground> {
  const source = await createDatabase(context);
  await runSql(source, sql);
  const scratch = scratchDatabase({ source: 'shop', taskQueue: 'test', database: source }, maintenance());
  context.after(() => dropScratchDatabase(scratch));
  return { source, scratch };
}

async function drill(
  { scratch }: Ground,
  { copies: [copy], manifest, keys, clientVersion }: StoredDatabase,
  changes: Partial<DrillDatabaseOptions> = {},
): Promise<DrilledPart> {
  assert.ok(copy);
  return drillDatabase({
    copy,
    manifest,
    openingKeys: [keys.aes],
    scratch,
    clients: chooseRestorePrograms(await findClientPrograms([testPostgres().binDirectory]), clientVersion),
    jobs: 2,
    checks: [],
    ...changes,
  });
}

async function databasesOf({ scratch }: Ground): Promise<unknown[]> {
  return onServer(`select datname from pg_database where starts_with(datname, '${scratch.name}')`);
}

test('a good backup is restored, compared and dropped, and the time of every phase is told', async (context) => {
  const ground = await prepare(context, `create table t as select i, md5(i::text) as m from generate_series(1, 500) i`);
  const seen: string[] = [];
  const part = await drill(ground, await backUp(context, ground.source), {
    checks: [{ name: 'has rows', sql: 'select count(*) = 500 from public.t' }],
    onProgress: (phase) => seen.push(phase),
  });
  assert.equal(part.differenceCount, 0);
  assert.deepEqual(part.differences, []);
  assert.deepEqual(part.checks, [{ name: 'has rows', passed: true }]);
  assert.match(part.compared, /^1 tables, 500 rows/);
  const phases = [
    'preparation',
    'definitions',
    'rows',
    'indexes',
    'statistics',
    'settings',
    'reconciliation',
    'checks',
  ];
  assert.deepEqual(Object.keys(part.phases), phases);
  assert.ok(['rows', 'reconciliation', 'checks'].every((phase) => seen.includes(phase)));
  assert.deepEqual(await databasesOf(ground), []);
});

test('what an earlier drill left is dropped first, also with sessions in it; what is not marked stays', async (context) => {
  const ground = await prepare(context, 'create table t (v int)');
  const backup = await backUp(context, ground.source);
  const { name, mark } = ground.scratch;
  await onServer(`create database ${name}`);
  await assert.rejects(drill(ground, backup), new RegExp(`${name} exists already`));
  await onServer(
    `comment on database ${name} is 'Holdfast is restoring into this database: ${mark} (0a1b2c3d, 1, "${name}")'`,
  );
  await assert.rejects(drill(ground, backup), new RegExp(`${name} exists already`), 'a comment that was copied');
  for (const own of ['', "\nthe shop''s own"]) {
    const [row] = await onServer(`select oid from pg_database where datname = '${name}'`);
    await onServer(
      `comment on database ${name} is 'Holdfast is restoring into this database: ${mark} (0a1b2c3d, ${String(row?.['oid'])}, "${name}")${own}'`,
    );
    await openSession(context, { ...ground.source, name });
    const part = await drill(ground, backup);
    assert.equal(part.differenceCount, 0);
    assert.deepEqual(await databasesOf(ground), []);
    await onServer(`create database ${name}`);
  }
  await onServer(`drop database ${name}`);
});

const broken: Readonly<Record<string, { sql: string; named: RegExp }>> = {
  'an index with an unqualified function': {
    sql: `create function inner_part(text) returns text language sql immutable as 'select lower($1)';
          create function outer_part(text) returns text language sql immutable as 'select inner_part($1)';
          create table people (name text); insert into people values ('Ann'); create index people_lower on people (outer_part(name))`,
    named: /index public\.people_lower cannot be restored/,
  },
  'a CHECK with an unqualified function': {
    sql: `create function allowed() returns text[] language sql immutable as $$ select array['a'] $$;
          create function is_allowed(text) returns bool language plpgsql as $$ begin return $1 = any (allowed()); end $$;
          create table letters (letter text check (is_allowed(letter))); insert into letters values ('a')`,
    named: /rows of table public\.letters cannot be restored/,
  },
  'a materialized view with an unqualified function': {
    sql: `create function inner_part() returns int language sql as 'select 1';
          create function outer_part() returns int language plpgsql as 'begin return inner_part(); end';
          create materialized view totals as select outer_part() as total`,
    named: /materialized view data public\.totals cannot be restored/,
  },
  'duplicates under a broken unique index': {
    sql: `create table users (email text); create unique index users_email on users (email); insert into users values ('a@b.c');
          update pg_index set indisready = false, indisvalid = false where indexrelid = 'users_email'::regclass;
          insert into users values ('a@b.c');
          update pg_index set indisready = true, indisvalid = true where indexrelid = 'users_email'::regclass`,
    named: /index public\.users_email cannot be restored/,
  },
};
for (const [what, { sql, named }] of Object.entries(broken)) {
  test(`[8] ${what} fails the drill by its name, and nothing stays`, async (context) => {
    const ground = await prepare(context, sql);
    const backup = await backUp(context, ground.source);
    await assert.rejects(drill(ground, backup), (error) => {
      assert.ok(isHoldfastError(error, 'RestoreFailed'));
      assert.match(error.message, named);
      return true;
    });
    assert.deepEqual(await databasesOf(ground), []);
  });
}

test('[7] a role that is missing fails the drill by its name, with the command that makes it', async (context) => {
  const ground = await prepare(context, 'create table t (v int)');
  const role = `gone_${ground.source.name}`;
  await runSql(ground.source, `create role ${role}; alter table t owner to ${role}`);
  const backup = await backUp(context, ground.source);
  await runSql(ground.source, `reassign owned by ${role} to postgres; drop role ${role}`);
  await assert.rejects(drill(ground, backup), (error) => {
    assert.ok(error instanceof HoldfastError);
    assert.equal(error.type, 'RestoreFailed');
    assert.match(error.message, new RegExp(`roles are missing: "${role}"`));
    assert.match(error.advice ?? '', new RegExp(`CREATE ROLE ${role}`));
    return true;
  });
  assert.deepEqual(await databasesOf(ground), []);
  const without = await drill(ground, backup, { noOwner: true, noPrivileges: true });
  assert.equal(without.differenceCount, 0);
});

test('[7] an extension of another version is a difference, named with both', async (context) => {
  const ground = await prepare(context, `create extension pg_trgm version '1.5'`);
  const part = await drill(ground, await backUp(context, ground.source));
  assert.equal(part.differenceCount, 1);
  assert.match(part.differences.map(describeDifference).join(), /version of extension pg_trgm: 1\.6 instead of 1\.5/);
  assert.deepEqual(await databasesOf(ground), []);
});

test('checks that do not pass, or cannot be asked, are in the answer', async (context) => {
  const ground = await prepare(context, 'create table t (v int)');
  const part = await drill(ground, await backUp(context, ground.source), {
    checks: [
      { name: 'has rows', sql: 'select count(*) > 0 from public.t' },
      { name: 'misspelt', sql: 'select nothing from nowhere' },
    ],
  });
  assert.deepEqual(
    part.checks.map(({ name, passed }) => [name, passed]),
    [
      ['has rows', false],
      ['misspelt', false],
    ],
  );
  assert.match(part.checks[1]?.found ?? '', /nowhere/);
});

test('a drill that is stopped in the middle leaves nothing', async (context) => {
  const ground = await prepare(context, `create table t as select i from generate_series(1, 1000) i`);
  const backup = await backUp(context, ground.source);
  for (const at of ['definitions', 'rows', 'settings', 'reconciliation', 'checks']) {
    const stop = new AbortController();
    const reason = new Error(`stopped at ${at}`);
    const onProgress = (phase: string) => (phase === at ? stop.abort(reason) : undefined);
    const checks = [{ name: 'any', sql: 'select true' }];
    await assert.rejects(drill(ground, backup, { signal: stop.signal, onProgress, checks }), reason);
    assert.deepEqual(await databasesOf(ground), []);
  }
});

test('names of scratch databases fit, and differ by source, installation and server', () => {
  const server = maintenance();
  const database = { host: 'db', port: 5432, name: 'shop' };
  const owner = { source: 'shop', taskQueue: 'holdfast', database };
  const names = [
    owner,
    { ...owner, source: 'shop2' },
    { ...owner, taskQueue: 'staging' },
    { ...owner, database: { ...database, host: 'staging' } },
    { ...owner, source: 's'.repeat(63) },
  ].map((each) => scratchDatabase(each, server).name);
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.ok(Buffer.byteLength(name) <= 63 && name.startsWith('holdfast_drill_'), name);
});
