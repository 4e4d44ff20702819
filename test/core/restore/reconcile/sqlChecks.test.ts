import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runChecks } from '../../../../core/restore/reconcile/sqlChecks.ts';
import { createDatabase } from '../../../support/servers.ts';
import { accessTo, runSql } from '../../postgres/support.ts';

test('a check passes when it says true, and says what came instead', async (context) => {
  const database = await createDatabase(context);
  await runSql(database, 'create table users (id int); insert into users values (1)');
  const outcomes = await runChecks(accessTo(database), [
    { name: 'has users', sql: 'select count(*) > 0 from users' },
    { name: 'has many', sql: 'select count(*) > 5 from users' },
    { name: 'number', sql: 'select count(*) from users' },
    { name: 'nothing', sql: 'select true from users where false' },
    { name: 'broken', sql: 'select * from nowhere' },
    { name: 'writes', sql: 'delete from users returning true' },
    { name: 'goes on after a failure', sql: 'select true' },
  ]);
  assert.deepEqual(
    outcomes.map(({ name, passed, found }) => [name, passed, found]),
    [
      ['has users', true, undefined],
      ['has many', false, 'false'],
      ['number', false, '1'],
      ['nothing', false, 'no row'],
      ['broken', false, 'relation "nowhere" does not exist'],
      ['writes', false, 'cannot execute DELETE in a read-only transaction'],
      ['goes on after a failure', true, undefined],
    ],
  );
  assert.deepEqual(await runSql(database, 'select count(*)::int as count from users'), [{ count: 1 }]);
});

test('a check is one statement, and so cannot leave the transaction that only reads', async (context) => {
  const database = await createDatabase(context);
  await runSql(database, 'create table users (id int)');
  const outcomes = await runChecks(accessTo(database), [
    { name: 'two', sql: 'select true; select false' },
    { name: 'leaves', sql: 'commit; insert into users values (1) returning true' },
    { name: 'ends', sql: 'commit' },
    { name: 'writes', sql: 'insert into users values (1) returning true' },
    { name: 'one', sql: 'select true;' },
  ]);
  assert.deepEqual(
    outcomes.map(({ passed, found = '' }) => [passed, found.replace(/: .*/, '')]),
    [
      [false, 'a check is one statement'],
      [false, 'a check is one statement'],
      [false, 'no row'],
      [false, 'cannot execute INSERT in a read-only transaction'],
      [true, ''],
    ],
  );
  assert.deepEqual(await runSql(database, 'select * from users'), []);
});

test('a database that cannot be reached is no failed check', async (context) => {
  const database = await createDatabase(context);
  const checks = [{ name: 'any', sql: 'select pg_terminate_backend(pg_backend_pid())' }];
  await assert.rejects(runChecks(accessTo(database), checks), { type: 'SourceUnreachable' });
});
