import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import { WorkflowFailedError, WorkflowUpdateFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { Client } from 'pg';
import { listBackups } from '../../core/catalog/read.ts';
import { recentRestores } from '../../core/catalog/restores.ts';
import type { RestoreProgress, RestoreResult } from '../../core/restore/flow.ts';
import { runSql } from '../core/postgres/support.ts';
import { onServer } from '../core/restore/support.ts';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { until } from '../support/processes.ts';
import {
  assertUntouched,
  changeShop,
  commentOn,
  countCustomers,
  databasesOf,
  dropRestored,
  restore,
  ROWS,
  startRestore,
  untilPhase,
} from '../support/restores.ts';
import { querySession } from '../support/session.ts';
import { fillSmallShop } from '../support/smallShop.ts';

/** `restore` end to end: into a new database, in place of the one there is, approved, aborted, undone. */

const scope = fileScope();
/** True only before the swap. */
const BEFORE_THE_SWAP = "select current_database() ~ '_restoring_'";
let app: Application;
let backup: string;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  await runSql(app.database, `comment on database ${app.database.name} is 'the shop''s own'`);
  const { shop } = app.settings.sources;
  assert.ok(shop);
  Object.assign(app.settings.sources, {
    shop: {
      ...shop,
      environment: ['SHOP_SECRET'],
      checks: [{ name: 'has customers', sql: 'select count(*) > 100 from customers' }],
    },
  });
  await app.save();
  await app.startWorker();
  const { code, document } = await app.backup('shop');
  assert.equal(code, 0, JSON.stringify(document));
  backup = document.id;
});

beforeEach(() => changeShop(app));
afterEach(() => dropRestored(app));

describe('into a new database', () => {
  test('the newest backup, equal to what was dumped, and with its own comment', async () => {
    const { code, document } = await restore(app, 'latest');
    assert.equal(code, 0, JSON.stringify(document));
    assert.equal(document.state, 'restored');
    assert.equal(document.plan?.backup.id, backup);
    assert.deepEqual(document.plan?.missingEnvironment, ['SHOP_SECRET']);
    assert.equal(document.reconciliation?.equal, true);
    assert.deepEqual(document.checks, [{ name: 'has customers', passed: true }]);
    const name = document.database ?? '';
    assert.match(name, new RegExp(`^${app.database.name}_restored_\\d{8}_\\d{6}_\\w{6}$`));
    assert.equal(await countCustomers(app, name), ROWS);
    assert.equal(await commentOn(name), "the shop's own");
    await assertUntouched(app, [app.database.name, name], 10);
  });
});

test('the backup that was made before a restore is never the latest, and is restored by its id', async () => {
  const { name } = app.database;
  const first = await restore(app, backup, '--mode', 'replace', '--confirm', name);
  assert.equal(first.code, 0, JSON.stringify(first.document));
  const { document } = await restore(app, 'latest', '--dry-run');
  assert.notEqual(document.plan?.backup.id, first.document.safetyBackup);
  const back = await restore(app, first.document.safetyBackup ?? '', '--target', `${name}_back`);
  // The check wants more customers than there were then.
  assert.equal(back.code, 3, JSON.stringify(back.document));
  assert.equal(await countCustomers(app, `${name}_back`), 10);
});

test('[25] a restore needs no catalog', async () => {
  const { catalog } = app.settings;
  const url = await app.writeSecret('no-catalog', 'postgresql://nobody@127.0.0.1:1/none');
  app.settings.catalog = { url };
  try {
    await withSettings({}, async () => {
      const { name } = app.database;
      const { code, document } = await restore(app, backup, '--mode', 'replace', '--confirm', name);
      assert.equal(code, 0, JSON.stringify(document));
      assert.equal(await countCustomers(app), ROWS);
    });
  } finally {
    app.settings.catalog = catalog;
    await app.save();
  }
});

test('once the swap has begun it is too late to abort or to cancel, and the restore goes to its end', async () => {
  const slow = `select true from pg_sleep(case when ${BEFORE_THE_SWAP.replace('select ', '')} then 0 else 5 end)`;
  await withSettings({ checks: [{ name: 'slow', sql: slow }] }, async () => {
    const handle = await startRestore(app, {
      source: 'shop',
      mode: 'replace',
      confirm: app.database.name,
      safetyBackup: 'skip',
    });
    await until('the swap', async () => ((await countCustomers(app).catch(() => 0)) === ROWS ? true : undefined));
    await assertRefusedUpdate(handle, 'abort', { by: 'Ada' }, /too late/);
    await handle.cancel();
    assert.equal(((await handle.result()) as RestoreResult).state, 'restored');
    assert.equal(await countCustomers(app), ROWS);
  });
});

describe('in place of the one there is', () => {
  test('it is swapped in, the one of before is kept, backed up, and can be gone back to', async () => {
    const { name } = app.database;
    const { code, document } = await restore(app, 'latest', '--mode', 'replace', '--confirm', name);
    assert.equal(code, 0, JSON.stringify(document));
    assert.equal(document.state, 'restored');
    assert.ok(document.kept);
    assert.equal(await countCustomers(app), ROWS);
    assert.equal(await commentOn(name), "the shop's own");
    assert.equal(await countCustomers(app, document.kept.name), 10);
    assert.deepEqual(await databasesOf(app), [name, document.kept.name]);
    const safety = (await app.useCatalog((catalog) => listBackups(catalog))).find(
      ({ id }) => id === document.safetyBackup,
    );
    assert.deepEqual([safety?.tier, safety?.state], ['pre-restore', 'verified']);

    const session = { ...app.database, name: 'postgres' };
    const { goBack, drop } = document.kept;
    await runSql({ ...app.database, name: document.kept.name }, "begin; create table t (); prepare transaction 'kept'");
    await querySession(session, async (client) => {
      for (const sql of goBack.slice(0, -1)) await client.query(sql);
      await assert.rejects(client.query(goBack.at(-1) ?? ''), /everything is as it was/);
    });
    assert.equal(await countCustomers(app), ROWS, 'what could not be gone back to is in place, and open');
    await runSql({ ...app.database, name: document.kept.name }, "rollback prepared 'kept'");
    // Who looks at the old one is no obstacle.
    const looking = new Client({ ...app.database, database: document.kept.name });
    looking.on('error', () => undefined);
    await looking.connect();
    await querySession(session, async (client) => {
      for (const sql of goBack) await client.query(sql);
    });
    assert.equal(await countCustomers(app), 10);
    const aside = (await databasesOf(app)).find((each) => each !== name) ?? '';
    assert.equal(await countCustomers(app, aside), ROWS);
    // And that the printed command drops it, of a run that was not gone back from.
    const again = await restore(app, 'latest', '--mode', 'replace', '--confirm', name, '--skip-safety-backup');
    assert.equal(again.code, 0, JSON.stringify(again.document));
    assert.equal(again.document.safetyBackup, undefined);
    await querySession(session, (client) => client.query(again.document.kept?.drop ?? drop));
    assert.deepEqual(await databasesOf(app), [name, aside]);
  });

  test('[27] one that is gone is made anew under its name', async () => {
    const { name } = app.database;
    await querySession({ ...app.database, name: 'postgres' }, (client) =>
      client.query(`drop database ${name} with (force)`),
    );
    const { code, document } = await restore(app, 'latest', '--mode', 'replace');
    assert.equal(code, 0, JSON.stringify(document));
    assert.equal(document.database, name);
    assert.equal(document.kept, undefined);
    assert.equal(document.safetyBackup, undefined);
    await assertUntouched(app, [name], ROWS);
  });
});

describe('that has to be approved', () => {
  test('shows its plan and waits; an approval by nobody is refused; then it goes on', async () => {
    const handle = await startRestore(app, { source: 'shop', mode: 'replace' });
    const { plan, approvalUntil } = await untilPhase(handle, 'approval');
    assert.equal(plan?.database?.replaces?.name, app.database.name);
    assert.ok(Date.parse(approvalUntil ?? '') > Date.now());
    await assertUntouched(app, [app.database.name], 10);
    for (const nobody of [{}, { by: '' }, { by: ' ' }, undefined, { by: 'me', also: 1 }])
      await assertRefusedUpdate(handle, 'approve', nobody, /A right input is/);
    const said = await handle.executeUpdate('approve', { args: [{ by: 'Ada', note: 'go' }] });
    assert.match(String(said), /Ada/);
    const result = (await handle.result()) as RestoreResult;
    assert.equal(result.state, 'restored');
    assert.deepEqual(result.approvedBy, { by: 'Ada', note: 'go' });
    assert.equal(await countCustomers(app), ROWS);
  });

  test('[26] it ends where nobody approves it in time, and nothing is changed', async () => {
    await withSettings({ restore: { timeout: '1s' } }, async () => {
      const { code, document } = await restore(app, 'latest', '--mode', 'replace');
      assert.equal(code, 4, JSON.stringify(document));
      assert.match(document.error?.message ?? '', /^Nobody approved the restore within 1\.0 s/);
      assert.equal(document.state, 'failed');
      await assertUntouched(app, [app.database.name], 10);
    });
  });

  test('where approval is required, confirm does not replace it, and a new database waits for it too', async () => {
    await withSettings({ restore: { approval: 'required', timeout: '1s' } }, async () => {
      for (const args of [['--mode', 'replace', '--confirm', app.database.name], []]) {
        const { code, document } = await restore(app, 'latest', ...args);
        assert.equal(code, 4, JSON.stringify(document));
        assert.match(document.error?.message ?? '', /^Nobody approved/);
      }
      await assertUntouched(app, [app.database.name], 10);
    });
  });

  test('[26] what came in its way since the plan was shown is not replaced', async () => {
    await withSettings({ restore: { approval: 'required' } }, async () => {
      const { name } = app.database;
      const away = `${name}_away`;
      await onServer(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
      await onServer(`alter database ${name} rename to ${away}`);
      const handle = await startRestore(app, { source: 'shop', mode: 'replace' });
      const { plan } = await untilPhase(handle, 'approval');
      assert.equal(plan?.database?.replaces, undefined);
      await onServer(`alter database ${away} rename to ${name}`);
      await handle.executeUpdate('approve', { args: [{ by: 'Ada' }] });
      const failure = await failureOf(handle);
      assert.equal(failure.type, 'RefusedForSafety');
      assert.match(failure.message, new RegExp(`it was nothing, and is now database ${name}`));
      await assertUntouched(app, [name], 10);
    });
  });

  test('it can be aborted while it waits, by somebody', async () => {
    const handle = await startRestore(app, { source: 'shop', mode: 'replace' });
    await untilPhase(handle, 'approval');
    await assertRefusedUpdate(handle, 'abort', { reason: 'no name' }, /by/);
    await handle.executeUpdate('abort', { args: [{ by: 'Ada', reason: 'wrong one' }] });
    const failure = await failureOf(handle);
    assert.equal(failure.type, 'Cancelled');
    assert.match(failure.message, /^Aborted by Ada: wrong one/);
    await assertUntouched(app, [app.database.name], 10);
    const [recorded] = await app.useCatalog((catalog) => recentRestores(catalog, { limit: 1 }));
    assert.deepEqual([recorded?.outcome, recorded?.workflowId], ['aborted', handle.workflowId]);
  });
});

test('[27] aborted or cancelled in the middle, nothing is left of it, and a second try works', async () => {
  for (const end of ['abort', 'cancel'] as const) {
    const handle = await startRestore(app, { source: 'shop', mode: 'replace', confirm: app.database.name });
    await until('the unfinished database', async () => ((await databasesOf(app)).length > 1 ? true : undefined));
    await assertRefusedUpdate(handle, 'approve', { by: 'Ada' }, /Nothing waits/);
    if (end === 'cancel') await handle.cancel();
    else await handle.executeUpdate('abort', { args: [{ by: 'Ada' }] });
    await assert.rejects(handle.result());
    await assertUntouched(app, [app.database.name], 10);
  }
  const { code } = await restore(app, 'latest', '--mode', 'replace', '--confirm', app.database.name);
  assert.equal(code, 0);
  assert.equal(await countCustomers(app), ROWS);
});

test('a dry run ends with the plan, and changes nothing', async () => {
  const handle = await startRestore(app, { source: 'shop', mode: 'replace', dryRun: true });
  const result = (await handle.result()) as RestoreResult;
  assert.equal(result.state, 'planned');
  assert.match(result.plan?.approval.why ?? '', /confirm does not say so/);
  await assertUntouched(app, [app.database.name], 10);
});

test('[7] what is not what was dumped is never put in place, and every difference is named', async () => {
  const handle = await startRestore(app, {
    source: 'shop',
    mode: 'replace',
    confirm: app.database.name,
    safetyBackup: 'skip',
  });
  const ended = failureOf(handle);
  const name = await until(
    'the plan',
    async () => (await handle.query<RestoreProgress>('progress')).plan?.database?.target,
  );
  await until('a row that nobody dumped', async () => {
    const added = querySession({ ...app.database, name }, (client) =>
      client.query("insert into customers values (-1, 'x')"),
    );
    return added.then(
      () => true,
      () => undefined,
    );
  });
  const { type, message, details } = await ended;
  assert.equal(type, 'RestoreFailed');
  assert.match(message, /table public\.customers: rows 5000 -> 5001/);
  const [result] = details as [RestoreResult];
  assert.equal(result.state, 'failed');
  assert.equal(result.reconciliation?.equal, false);
  await assertUntouched(app, [app.database.name], 10);
});

test('[26] the database that restores are connected to meanwhile is not replaced', async () => {
  await withSettings({ restore: { maintenanceDatabase: app.database.name } }, async () => {
    const { code, document } = await restore(app, 'latest', '--mode', 'replace', '--confirm', app.database.name);
    assert.equal(code, 4, JSON.stringify(document));
    assert.match(document.error?.message ?? '', /the one that the restore itself has to be connected to/);
    assert.match(document.error?.advice ?? '', /maintenanceDatabase/);
    await assertUntouched(app, [app.database.name], 10);
  });
});

describe('a check of the source that does not pass', () => {
  test('keeps the database from being put in place', async () => {
    await withSettings({ checks: [{ name: 'never', sql: 'select false' }] }, async () => {
      const { code, document } = await restore(app, 'latest', '--mode', 'replace', '--confirm', app.database.name);
      assert.equal(code, 1, JSON.stringify(document));
      assert.match(document.error?.message ?? '', /does not pass "never" \(found: false\)/);
      assert.equal(document.state, 'failed');
      await assertUntouched(app, [app.database.name], 10);
    });
  });

  test('is what the restore ends with, also where somebody aborts it while what it made is removed', async () => {
    await withSettings({ checks: [{ name: 'never', sql: 'select false from pg_sleep(3)' }] }, async () => {
      const handle = await startRestore(app, {
        source: 'shop',
        mode: 'replace',
        confirm: app.database.name,
        safetyBackup: 'skip',
      });
      const { plan } = await untilPhase(handle, 'checks');
      await querySession({ ...app.database, name: 'postgres' }, async (client) => {
        await client.query('begin');
        // It cannot be dropped while somebody is about to change its comment.
        await client.query(`comment on database ${plan?.database?.target} is 'held'`);
        await untilPhase(handle, 'clean-up');
        await assertRefusedUpdate(handle, 'abort', { by: 'Ada' }, /too late/);
        await client.query('rollback');
      });
      const { type, message, details } = await failureOf(handle);
      assert.equal(type, 'RestoreFailed');
      assert.match(message, /does not pass "never"/);
      const [result] = details as [RestoreResult];
      assert.equal(result.abortedBy, undefined);
      await assertUntouched(app, [app.database.name], 10);
    });
  });

  test('[27] and passes only before the swap takes the swap back', async () => {
    await withSettings({ checks: [{ name: 'in place', sql: BEFORE_THE_SWAP }] }, async () => {
      const { code, document } = await restore(app, 'latest', '--mode', 'replace', '--confirm', app.database.name);
      assert.equal(code, 1, JSON.stringify(document));
      assert.equal(document.state, 'undone');
      assert.match(document.error?.message ?? '', /the database of before is in place again as/);
      assert.ok(document.setAside);
      // An application may have written into what was in place, however short.
      await assertUntouched(app, [app.database.name, document.setAside.name], 10);
      assert.equal(await countCustomers(app, document.setAside.name), ROWS);
      assert.equal(await commentOn(document.setAside.name), await commentOn(app.database.name));
      const again = await restore(app, 'latest');
      assert.equal(again.code, 0, JSON.stringify(again.document));
      assert.equal(await countCustomers(app, document.setAside.name), ROWS, 'no clean-up takes it');
      await onServer(document.setAside.drop);
    });
  });

  test('leaves a new database to be looked at, and says so', async () => {
    await withSettings({ checks: [{ name: 'never', sql: 'select false' }] }, async () => {
      const { code, document } = await restore(app, 'latest');
      assert.equal(code, 3, JSON.stringify(document));
      assert.equal(document.state, 'degraded');
      assert.equal(await countCustomers(app, document.database), ROWS);
    });
  });
});

// The last one: the newest backup is another one from here on.
test('one table, and what it needs, goes into a new database', async () => {
  await runSql(app.database, 'create table orders as select 1 as id');
  try {
    const other = await app.backup('shop', '--kind', 'database');
    const { code, document } = await restore(app, other.document.id, '--table', 'orders');
    assert.equal(code, 0, JSON.stringify(document));
    // The check wants customers.
    assert.deepEqual(document.checks, []);
    assert.match(document.plan?.findings.map(({ message }) => message).join() ?? '', /checks are not asked/);
    assert.equal(document.reconciliation?.equal, true);
    await querySession({ ...app.database, name: document.database ?? '' }, async (client) => {
      const { rows } = await client.query(
        `select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`,
      );
      assert.deepEqual(rows, [{ relname: 'orders' }]);
    });
    const [recorded] = await app.useCatalog((catalog) => recentRestores(catalog, { limit: 1 }));
    assert.deepEqual([recorded?.outcome, recorded?.partial, recorded?.backup], ['succeeded', true, other.document.id]);
  } finally {
    await runSql(app.database, 'drop table orders');
  }
});

/** A worker of its own with other settings of the source, while the first one is away. */
async function withSettings(changes: object, use: () => Promise<void>): Promise<void> {
  const { shop } = app.settings.sources;
  const queue = app.settings.temporal.taskQueue;
  Object.assign(app.settings.sources, { shop: { ...shop, ...changes } });
  app.settings.temporal.taskQueue = `${queue}-other`;
  await app.save();
  const worker = await app.startWorker();
  try {
    await use();
  } finally {
    Object.assign(app.settings.sources, { shop });
    app.settings.temporal.taskQueue = queue;
    await app.save();
    await worker.close();
  }
}

async function assertRefusedUpdate(handle: WorkflowHandle, name: string, payload: unknown, message: RegExp) {
  await assert.rejects(handle.executeUpdate(name, { args: [payload] }), (error: unknown) => {
    assert.ok(error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure, String(error));
    assert.match(error.cause.message, message);
    return true;
  });
}

async function failureOf(handle: WorkflowHandle): Promise<ApplicationFailure> {
  const error: unknown = await handle.result().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure, String(error));
  return error.cause;
}
