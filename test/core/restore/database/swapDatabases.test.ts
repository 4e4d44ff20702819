import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { Client } from 'pg';
import type { DatabaseAccess } from '../../../../core/postgres/access.ts';
import {
  databaseOids,
  swapDatabases,
  swapState,
  undoSwap,
  type Swap,
} from '../../../../core/restore/database/swapDatabases.ts';
import { until } from '../../../support/processes.ts';
import { createDatabase } from '../../../support/servers.ts';
import { accessTo, runSql } from '../../postgres/support.ts';

test('the next database takes the place of the one before, and is set aside on the way back', async (context) => {
  const swap = await twoDatabases(context);
  assert.equal(await swapState(swap), 'before');
  assert.equal(await undoSwap(swap), 'before');
  await swapDatabases(swap);
  assert.equal(await inPlace(swap), 'next');
  assert.equal(await swapState(swap), 'done');
  await swapDatabases(swap);
  assert.equal(await inPlace(swap), 'next');
  assert.equal(await undoSwap(swap), 'undone');
  assert.equal(await inPlace(swap), 'old');
  assert.equal(await inPlace({ ...swap, name: swap.setAsideAs }), 'next');
  assert.equal(await undoSwap(swap), 'undone');
  await assert.rejects(swapDatabases(swap), { type: 'RefusedForSafety' });
});

test('an application that reconnects without a pause does not hold up the swap, and finds the next one', async (context) => {
  const swap = await twoDatabases(context);
  const over = new AbortController();
  let sessions = 0;
  const reconnecting = Array.from({ length: 8 }, async () => {
    while (!over.signal.aborted) {
      const client = new Client({ ...clientOf(swap.server), database: swap.name });
      client.on('error', () => undefined);
      try {
        await client.connect();
        sessions += 1;
        await client.query('select pg_sleep(1)');
      } catch {
        // Ended by the swap: it comes back at once.
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  });
  try {
    await until('sessions of the application', () => Promise.resolve(sessions >= 8 || undefined));
    await swapDatabases(swap);
    assert.equal(await inPlace(swap), 'next');
  } finally {
    over.abort();
    await Promise.all(reconnecting);
  }
});

test('a prepared transaction keeps the database in place and is named', async (context) => {
  const swap = await twoDatabases(context);
  const name = `kept_${swap.name}`;
  await runSql({ ...swap.server, name: swap.name }, `begin; create table t (); prepare transaction '${name}'`);
  await assert.rejects(swapDatabases(swap), (error: Error) => {
    assert.match(error.message, new RegExp(`prepared transaction ${name}`));
    return true;
  });
  assert.equal(await inPlace(swap), 'old');
  await runSql({ ...swap.server, name: swap.name }, `rollback prepared '${name}'`);
});

test('where somebody renamed a database meanwhile nothing is touched', async (context) => {
  const swap = await twoDatabases(context);
  await runSql(swap.server, `alter database "${swap.next}" rename to "${swap.keptAs}"`);
  await assert.rejects(swapDatabases(swap), { type: 'RefusedForSafety' });
  assert.equal(await inPlace(swap), 'old');
});

type TestSwap = Swap & { readonly server: DatabaseAccess & { readonly password: string } };

async function twoDatabases(context: TestContext): Promise<TestSwap> {
  const old = await createDatabase(context);
  const next = await createDatabase(context);
  await runSql(old, `create table which as select 'old' as it`);
  await runSql(next, `create table which as select 'next' as it`);
  const server = { ...accessTo(old), password: old.password, name: 'postgres' };
  const [oldOid, nextOid] = await databaseOids(server, [old.name, next.name]);
  assert.ok(oldOid !== undefined && nextOid !== undefined);
  const oids = { old: oldOid, next: nextOid };
  const swap: TestSwap = {
    server,
    name: old.name,
    next: next.name,
    keptAs: `${old.name}_before`,
    setAsideAs: `${old.name}_undone`,
    oids,
  };
  for (const made of [swap.keptAs, swap.setAsideAs])
    context.after(() => runSql(swap.server, `drop database if exists "${made}" with (force)`));
  return swap;
}

async function inPlace({ server, name }: TestSwap): Promise<unknown> {
  const [row] = await runSql({ ...server, name }, 'select it from which');
  return row?.it;
}

function clientOf({ host, port, user, password }: DatabaseAccess) {
  return { host, port, user, password };
}
