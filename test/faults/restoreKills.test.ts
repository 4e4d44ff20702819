import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, test } from 'node:test';
import { Client, DatabaseError } from 'pg';
import { codeOf, messageOf } from '../../core/errors.ts';
import type { SweepResult } from '../../core/sweep/run.ts';
import { onServer } from '../core/restore/support.ts';
import { createApplication, type Application } from '../support/application.ts';
import type { Scope } from '../support/directories.ts';
import { descendantsOf, until } from '../support/processes.ts';
import {
  assertUntouched,
  changeShop,
  countCustomers,
  databasesOf,
  dropRestored,
  restore,
  resultOf,
  ROWS,
  startRestore,
} from '../support/restores.ts';
import { seededRandom } from '../soak/random.ts';
import { stepsOf } from '../support/runs.ts';
import { addBulkyTable, fillSmallShop } from '../support/smallShop.ts';
import { superviseWorker, type SupervisedWorker } from '../support/supervisedWorker.ts';

/** kill -9 in the middle of a restore that replaces: the database of before is in place, or the restored one. */

/** Most of a test's time is Temporal waiting for a heartbeat. */
const PATIENCE = { timeout: 590_000 };
const KILLS = 10;
const STEPS = ['planRestore', 'restoreDatabase', 'reconcileDatabase', 'checkDatabase', 'swapDatabases'] as const;
/** True only before the swap. */
const BEFORE_THE_SWAP = { name: 'not yet in place', sql: `select current_database() ~ '_restoring_'` };

interface Ground {
  readonly app: Application;
  readonly worker: SupervisedWorker;
}

// Each of the many workers of a test is ended with the process.
process.setMaxListeners(100);

describe('the worker is killed at random instants', { concurrency: 3 }, () => {
  const grounds = {
    'of replacing, after a safety backup': { safetyBackup: 'required', checks: [], ends: 'restored', rows: ROWS },
    'of replacing': { safetyBackup: 'skip', checks: [], ends: 'restored', rows: ROWS },
    'of replacing and going back': { safetyBackup: 'skip', checks: [BEFORE_THE_SWAP], ends: 'undone', rows: 10 },
  } as const;
  for (const [what, { safetyBackup, checks, ends, rows }] of Object.entries(grounds)) {
    test(`[27] ${what}: one of the two is always in place, and nothing is left`, PATIENCE, async (t) => {
      const { app, worker } = await prepare(t, { checks: [...checks] });
      const { name } = app.database;
      const random = seededRandom(rows + checks.length + safetyBackup.length);
      const service = watchService(app);
      for (let kills = 0; kills < KILLS;) {
        await changeShop(app);
        const handle = await startReplacing(app, safetyBackup);
        const result = resultOf(handle);
        for (const step of [STEPS[Math.floor(random() * STEPS.length)] ?? 'swapDatabases', undefined]) {
          if (step !== undefined) await seen(app, handle.workflowId, step);
          await sleep(random() * (step === undefined ? 3_000 : 300));
          worker.killOnly();
          await worker.restart();
          kills += 1;
        }
        const { state, kept, setAside, problem } = await result;
        assert.equal(state, ends, problem?.message);
        assert.equal(setAside !== undefined, ends === 'undone');
        const kinds = [kept, setAside].flatMap((each) => each?.name ?? []);
        assert.deepEqual(await databasesOf(app), [name, ...kinds]);
        assert.equal(await countCustomers(app), rows);
        await dropRestored(app);
      }
      assert.deepEqual(await service.end(), []);
      const again = await restore(app, 'latest');
      assert.equal(again.document.database !== undefined, true, JSON.stringify(again.document));
      await dropRestored(app);
    });
  }
});

test(
  '[27] a pg_restore that is killed is no harm: the run goes on, or ends with everything as it was',
  PATIENCE,
  async (t) => {
    // Large enough to be caught loading.
    const { app, worker } = await prepare(t, {}, 300_000);
    const handle = await startReplacing(app, 'skip');
    const result = resultOf(handle);
    const [victim] = await until('pg_restore', async () => {
      const running = (await descendantsOf(worker.current.pid)).filter(({ name }) => name === 'pg_restore');
      return running.length > 0 ? running : undefined;
    });
    process.kill(victim?.pid ?? 0, 'SIGKILL');
    const { state, kept } = await result;
    if (state === 'restored') assert.equal(await countCustomers(app), ROWS);
    else await assertUntouched(app, [app.database.name], 10);
    assert.deepEqual(await databasesOf(app), [app.database.name, ...(kept ? [kept.name] : [])]);
    await dropRestored(app);
  },
);

test(
  '[27] what a run left that was ended by force, its worker with it, is dropped by the next restore',
  PATIENCE,
  async (t) => {
    const { app, worker } = await prepare(t);
    const handle = await startReplacing(app, 'skip');
    await until('the unfinished database', async () => ((await databasesOf(app)).length > 1 ? true : undefined));
    worker.killOnly();
    await handle.terminate('by force');
    await untilUnused(app);
    assert.equal((await databasesOf(app)).length, 2);
    await worker.restart();
    const { code, document } = await restore(app, 'latest');
    assert.equal(code, 0, JSON.stringify(document));
    await assertUntouched(app, [app.database.name, document.database ?? ''], 10);
    await dropRestored(app);
  },
);

test('[13] [27] and by a sweep', PATIENCE, async (t) => {
  const { app, worker } = await prepare(t);
  const handle = await startReplacing(app, 'skip');
  await until('the unfinished database', async () => ((await databasesOf(app)).length > 1 ? true : undefined));
  worker.killOnly();
  await handle.terminate('by force');
  await untilUnused(app);
  const unfinished = (await databasesOf(app)).filter((name) => name !== app.database.name);
  await worker.restart();
  assert.deepEqual(await sweepRestores(app, '--dry-run'), { swept: unfinished, kept: [] });
  assert.deepEqual(await databasesOf(app), [app.database.name, ...unfinished].toSorted());
  assert.deepEqual(await sweepRestores(app), { swept: unfinished, kept: [] });
  assert.deepEqual(await databasesOf(app), [app.database.name]);
});

/** What a sweep says of restores. */
async function sweepRestores(app: Application, ...args: string[]) {
  const { code, document } = await app.ask('sweep', '--backend', 'local', ...args);
  assert.equal(code, 0, JSON.stringify(document));
  const report = (document as SweepResult).reports.find(({ place }) => place === 'restores');
  assert.ok(report);
  return { swept: report.swept.map(({ folder }) => folder), kept: report.kept.map(({ folder }) => folder) };
}

async function prepare(scope: Scope, changes: object = {}, bulkyRows = 0): Promise<Ground> {
  const app = await createApplication(scope);
  await fillSmallShop(app);
  if (bulkyRows > 0) await addBulkyTable(app.database, bulkyRows);
  Object.assign(app.settings.sources, { shop: { ...app.settings.sources['shop'], ...changes } });
  await app.save();
  const worker = await superviseWorker(app);
  const { code, document } = await app.backup('shop', '--kind', 'database');
  assert.equal(code, 0, JSON.stringify(document));
  await changeShop(app);
  return { app, worker };
}

async function untilUnused(app: Application): Promise<void> {
  await until('the end of the sessions in what is unfinished', async () => {
    const [row] = await onServer(
      `select count(*)::int as sessions from pg_stat_activity where datname ~ '^${app.database.name}_restoring_'`,
    );
    return row?.['sessions'] === 0 ? true : undefined;
  });
}

function startReplacing(app: Application, safetyBackup: 'required' | 'skip') {
  return startRestore(app, { source: 'shop', mode: 'replace', confirm: app.database.name, safetyBackup });
}

async function seen(app: Application, workflowId: string, step: string): Promise<void> {
  await until(
    `the step ${step}`,
    async () => {
      const steps = await stepsOf(app, workflowId);
      return steps.some(({ name }) => name === step || name === 'recordRestore') ? true : undefined;
    },
    120_000,
  );
}

/** Connects to the database in place without a pause, and notes whenever there is neither of the two. */
function watchService({ database }: Application) {
  const over = new AbortController();
  const outages: string[] = [];
  const { host, port, user, password, name } = database;
  const connectOnce = async () => {
    const client = new Client({ host, port, user, password, database: name });
    client.on('error', () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query<{ count: number }>('select count(*)::int from customers');
      if (![10, ROWS].includes(rows[0]?.count ?? -1)) outages.push(`${rows[0]?.count} rows`);
      return true;
    } catch (error) {
      // Who waits for the renaming to end hears that the name has just changed; the next one finds it.
      if (error instanceof DatabaseError && /just been dropped or renamed/.test(error.detail ?? '')) return true;
      // Ended by the swap, in the middle of the query or of connecting: that is announced.
      if (['57P01', '57P03'].includes(codeOf(error) ?? '') || /terminated|not queryable/.test(messageOf(error)))
        return true;
      return messageOf(error);
    } finally {
      await client.end().catch(() => undefined);
    }
  };
  const watching = (async () => {
    while (!over.signal.aborted) {
      const outcome = await connectOnce();
      if (outcome !== true) outages.push(outcome);
      await sleep(5);
    }
  })();
  return {
    end: async () => {
      over.abort();
      await watching;
      return outages;
    },
  };
}
