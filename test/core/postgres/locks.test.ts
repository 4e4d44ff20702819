import assert from 'node:assert/strict';
import { chmod, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { ClientPrograms } from '../../../core/postgres/clients.ts';
import { openSnapshot } from '../../../core/postgres/snapshot.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { createDatabase, testPostgres, type TestDatabase } from '../../support/servers.ts';
import {
  accessTo,
  assertRejects,
  dumpInto,
  openDump,
  openSession,
  readOn,
  saveParts,
  runProgram,
  runSql,
} from './support.ts';

/** A pg_dump before which `statement` has been sent to the server and waits there, or is done. */
async function clientsThatFirstRun(
  context: TestContext,
  database: TestDatabase,
  statement: string,
): Promise<ClientPrograms> {
  const directory = await temporaryDirectory(context);
  const { binDirectory } = testPostgres();
  const { host, port, user, password, name } = database;
  const psql = `PGPASSFILE= PGPASSWORD='${password}' PGAPPNAME=intruder PGOPTIONS= ${binDirectory}/psql -qX -h ${host} -p ${port} -U ${user} -d ${name}`;
  await writeFile(
    join(directory, 'pg_dump'),
    `#!/bin/sh
if mkdir "${directory}/once" 2>/dev/null; then
  ${psql} -c "${statement}" </dev/null >/dev/null 2>&1 &
  until ${psql} -Atc "select 1 from pg_stat_activity where datname = '${name}' and application_name = 'intruder' and wait_event_type = 'Lock'" | grep -q 1; do sleep 0.05; done
fi
while ! [ -d "${directory}/once" ]; do sleep 0.05; done
exec ${binDirectory}/pg_dump "$@"
`,
  );
  await chmod(join(directory, 'pg_dump'), 0o755);
  await symlink(join(binDirectory, 'pg_dumpall'), join(directory, 'pg_dumpall'));
  return { directory, version: '15.0', major: 15, minor: 0 };
}

async function rowsInDump(database: TestDatabase, directory: string): Promise<number> {
  const sql = await runProgram(database, 'pg_restore', ['-f', '-', '--data-only', join(directory, 'database')]);
  return (/COPY public\.t .*?;\n([^]*?)\\\.\n/.exec(sql)?.[1] ?? '').split('\n').length - 1;
}

test('[5] a TRUNCATE between the locks and the dump is blocked until it gives up; all rows are dumped', async (context) => {
  const database = await createDatabase(context);
  await runSql(database, 'create table t (v int); insert into t select generate_series(1, 1000)');
  const clients = await clientsThatFirstRun(context, database, "set lock_timeout = '300ms'; truncate t");
  const { directory, inventory } = await dumpInto(context, accessTo(database), { clients });
  assert.equal(await rowsInDump(database, directory), 1000);
  assert.equal(inventory.tables[0]?.rows, '1000');
});

test('[5] a TRUNCATE that waits for as long as it takes goes first, and the dump takes a new snapshot after it', async (context) => {
  const database = await createDatabase(context);
  await runSql(database, 'create table t (v int); insert into t select generate_series(1, 1000)');
  const clients = await clientsThatFirstRun(context, database, 'truncate t');
  const { directory, inventory } = await dumpInto(context, accessTo(database, { lockTimeout: 20_000 }), { clients });
  assert.equal(await rowsInDump(database, directory), 0);
  assert.equal(inventory.tables[0]?.rows, '0');
});

test('[5] whoever queues for a lock once the dump is open waits for its end, also with parts still unread', async (context) => {
  const database = await createDatabase(context);
  await runSql(database, 'create table t (v int); insert into t select generate_series(1, 100000)');
  const dump = await openDump(context, accessTo(database), { jobs: 2 });
  const session = await openSession(context, database);
  let truncated = false;
  const truncating = session.query('truncate t').then(() => (truncated = true));
  await new Promise((resolve) => setTimeout(resolve, 300));
  const directory = await temporaryDirectory(context);
  await saveParts(dump, directory);
  assert.equal(truncated, false);
  await dump.close();
  await truncating;
  const rows = await runProgram(database, 'pg_restore', ['-f', '-', '--data-only', join(directory, 'rows-1')]);
  assert.match(rows, /^100000$/m);
});

test('[3] a lock held too long fails the dump, with its holder named', async (context) => {
  const database = await createDatabase(context);
  await runSql(database, 'create table "The Table" (v int)');
  const session = await openSession(context, database, 'a migration');
  await session.query('begin; lock table "The Table"');
  await assertRejects(
    openSnapshot(accessTo(database, { lockTimeout: 1_500 })),
    'Stalled',
    /no lock within 2 s: public\."The Table" is held by process \d+, application a migration, role \S+, idle in transaction, its query is \d+ s old/,
  );
});

test('[5] tables that come and go while they are being locked do not disturb', async (context) => {
  const database = await createDatabase(context);
  await runSql(database, 'create table stays (v int)');
  const session = await openSession(context, database);
  await session.query('begin; lock table stays; create table comes (v int)');
  const opening = openSnapshot(accessTo(database));
  await new Promise((resolve) => setTimeout(resolve, 500));
  await session.query('alter table stays rename to renamed; commit');
  const snapshot = await opening;
  const { rows } = await snapshot.client.query(
    `select relation::regclass::text as name from pg_locks where pid = $1 and relation >= 16384 and mode = 'AccessShareLock' order by 1`,
    [snapshot.pid],
  );
  assert.deepEqual(
    rows.map((row: { name: string }) => row.name),
    ['public.comes', 'public.renamed'],
  );
  await snapshot.close();
});

test('[5] when the session of the snapshot dies, every part fails and close says so', async (context) => {
  const database = await createDatabase(context);
  await runSql(database, `create table t as select i, repeat(md5(i::text), 50) as v from generate_series(1, 20000) i`);
  const dump = await openDump(context, accessTo(database));
  const streams = dump.parts.map((part) => part.open(new AbortController().signal));
  const session = await openSession(context, database);
  await session.query('select pg_terminate_backend($1)', [dump.snapshotPid]);
  for (const stream of streams) {
    void readOn(stream);
    await assertRejects(stream.finished, 'DumpFailed', /session that holds the snapshot ended/);
  }
  await assertRejects(dump.close(), 'DumpFailed', /session that holds the snapshot ended/);
});
