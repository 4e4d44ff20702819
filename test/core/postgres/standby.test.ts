import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspectDatabase } from '../../../core/postgres/preflight.ts';
import { startPostgres } from '../../../core/tools/postgresServer.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { testPostgres, type TestDatabase } from '../../support/servers.ts';
import { accessTo, dumpInto, runProgram, runSql } from './support.ts';

test('a standby is dumped, without the rows and values of unlogged tables, and says so', async (context) => {
  const options = {
    directory: await temporaryDirectory(context),
    binDirectory: testPostgres().binDirectory,
    password: 'standby',
    durable: false,
  };
  const primary = await startPostgres(options);
  const database = ({ host, port, user }: typeof primary): TestDatabase => ({
    host,
    port,
    user,
    password: options.password,
    name: 'postgres',
  });
  try {
    await runSql(
      database(primary),
      `create table kept (id serial); insert into kept select from generate_series(1, 3);
       create unlogged table cache (id serial); insert into cache default values`,
    );
  } finally {
    await primary.close();
  }
  // Cleanly stopped, it needs no primary to come up as a standby.
  await writeFile(join(options.directory, 'data', 'standby.signal'), '');
  const standby = await startPostgres(options);
  try {
    const source = accessTo(database(standby));
    const { server, findings } = await inspectDatabase(source);
    assert.equal(server.recovering, true);
    assert.match(findings.map(({ message }) => message).join('\n'), /rows of 1 unlogged tables are left out/);
    const { inventory, directory } = await dumpInto(context, source);
    const rows = inventory.tables.map((table) => [table.name, table.rows]);
    assert.deepEqual(rows, [
      ['cache', undefined],
      ['kept', '3'],
    ]);
    const list = await runProgram(database(standby), 'pg_restore', ['--list', join(directory, 'database')]);
    assert.match(list, /TABLE DATA public kept/);
    assert.doesNotMatch(list, /TABLE DATA public cache/);
  } finally {
    await standby.close();
  }
});
