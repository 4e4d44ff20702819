import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { DrillResult } from '../../core/drill/run.ts';
import { scratchDatabase } from '../../core/drill/scratch.ts';
import type { SweepResult } from '../../core/sweep/run.ts';
import { runSql } from '../core/postgres/support.ts';
import { maintenance, onServer } from '../core/restore/support.ts';
import { createApplication, type Application } from '../support/application.ts';
import { until } from '../support/processes.ts';
import { addBulkyTable, fillSmallShop } from '../support/smallShop.ts';
import { superviseWorker, type SupervisedWorker } from '../support/supervisedWorker.ts';

/** kill -9 of the worker in the middle of a drill: the next one goes on, and nothing is left at the end. */

/** Most of a test's time is Temporal waiting for a heartbeat: they can wait side by side. */
const SIDE_BY_SIDE = { concurrency: 2 };
const PATIENCE = { timeout: 200_000 };
const ROWS = 60_000;

interface Ground {
  readonly app: Application;
  readonly worker: SupervisedWorker;
}

describe('killed', SIDE_BY_SIDE, () => {
  const moments: Record<string, (app: Application) => Promise<true | undefined>> = {
    'while rows are restored': async (app) =>
      (await comments(app)).some((comment) => comment?.startsWith('Holdfast is restoring')) ? true : undefined,
    'when the database is whole and not dropped yet': isWhole,
    'while files are unpacked': async (app) => ((await directories(app)).length > 0 ? true : undefined),
  };
  for (const [moment, seen] of Object.entries(moments)) {
    test(`[33] [27] ${moment}: the drill passes, and nothing is left`, PATIENCE, async (t) => {
      const { app, worker } = await prepare(t);
      const workflowId = await begin(app);
      await until(moment, () => seen(app), 60_000);
      await worker.kill();
      const result = await resultOf(app, workflowId);
      assert.equal(result.outcome, 'passed');
      assert.deepEqual(result.leftBehind, []);
      await assertNothingLeft(app);
    });
  }

  test('[27] and its run terminated: the next drill of the source removes what it left', PATIENCE, async (t) => {
    const { app, worker } = await prepare(t);
    const workflowId = await begin(app);
    await until('the scratch database', async () => ((await comments(app)).length > 0 ? true : undefined), 60_000);
    worker.killOnly();
    await (await app.temporal()).workflow.getHandle(workflowId).terminate();
    assert.equal((await comments(app)).length, 1);
    await worker.restart();
    const next = await app.ask('drill', 'shop', '--when-busy', 'refuse');
    assert.equal(next.code, 0, JSON.stringify(next.document));
    await assertNothingLeft(app);
  });

  test(
    '[13] and its run terminated: a sweep removes what it left, and leaves a drill that runs alone',
    PATIENCE,
    async (t) => {
      const { app, worker } = await prepare(t);
      const workflowId = await begin(app);
      await until('the scratch database', async () => ((await comments(app)).length > 0 ? true : undefined), 60_000);
      worker.killOnly();
      await (await app.temporal()).workflow.getHandle(workflowId).terminate();
      // The drill after it is to be at work for as long as a sweep takes.
      await letChecksTake(app, 15);
      await worker.restart();
      const { name } = scratchOf(app);
      assert.deepEqual((await sweep(app, '--dry-run')).swept, [name]);
      assert.equal((await comments(app)).length, 1);
      assert.deepEqual((await sweep(app)).swept, [name]);
      await assertNothingLeft(app);

      const next = await begin(app);
      await until('the whole database', () => isWhole(app));
      const { swept, kept } = await sweep(app);
      assert.equal((await comments(app)).length, 1, 'the drill is at work');
      assert.deepEqual([swept, kept], [[], [name]]);
      assert.equal((await resultOf(app, next)).outcome, 'passed');
    },
  );
});

/** What a sweep says of drills. */
async function sweep(app: Application, ...args: string[]) {
  const { code, document } = await app.ask('sweep', '--backend', 'local', ...args);
  assert.equal(code, 0, JSON.stringify(document));
  const { reports } = document as SweepResult;
  const report = reports.find(({ place }) => place === 'drills');
  assert.ok(report);
  return { swept: report.swept.map(({ folder }) => folder), kept: report.kept.map(({ folder }) => folder) };
}

async function prepare(t: TestContext): Promise<Ground> {
  const app = await createApplication(t);
  await fillSmallShop(app);
  await addBulkyTable(app.database, ROWS);
  await writeFile(join(app.trees.media, 'film.mp4'), Buffer.alloc(200_000_000, 'film'));
  // So that a whole database is there long enough to be seen.
  await letChecksTake(app, 2);
  // The mark of the drill stands before it once the database is whole.
  await runSql(app.database, `comment on database ${app.database.name} is 'The shop.'`);
  const worker = await superviseWorker(app);
  const { code, document } = await app.backup('shop', '--backend', 'local');
  assert.equal(code, 0, JSON.stringify(document));
  return { app, worker };
}

/** What stands in its comment once everything else is restored. */
async function isWhole(app: Application): Promise<true | undefined> {
  return (await comments(app)).some((comment) => comment?.endsWith('\nThe shop.')) ? true : undefined;
}

async function letChecksTake(app: Application, seconds: number): Promise<void> {
  const { shop } = app.settings.sources;
  assert.ok(shop);
  shop.checks = [{ name: 'takes its time', sql: `select true from pg_sleep(${seconds})` }];
  await app.save();
}

async function begin(app: Application): Promise<string> {
  const { document, stderr } = await app.ask('drill', 'shop', '--no-wait');
  const { workflowId } = document as { workflowId?: string };
  assert.ok(workflowId, stderr);
  return workflowId;
}

async function resultOf(app: Application, workflowId: string): Promise<DrillResult> {
  return (await (await app.temporal()).workflow.getHandle(workflowId).result()) as DrillResult;
}

function scratchOf({ settings, database }: Application) {
  return scratchDatabase({ source: 'shop', taskQueue: settings.temporal.taskQueue, database }, maintenance());
}

/** Of the scratch database, where there is one. */
async function comments(app: Application): Promise<(string | null)[]> {
  const rows = await onServer(
    `select shobj_description(oid, 'pg_database') as comment from pg_database where datname = '${scratchOf(app).name}'`,
  );
  return rows.map(({ comment }) => comment as string | null);
}

async function directories(app: Application): Promise<string[]> {
  return (await readdir(app.home)).filter((name) => name.startsWith('holdfast-drill'));
}

async function assertNothingLeft(app: Application): Promise<void> {
  const { name, mark } = scratchOf(app);
  const newborn = createHash('sha256').update(mark).digest('hex').slice(0, 16);
  assert.deepEqual(
    await onServer(`select datname from pg_database where datname = '${name}' or datname ~ '^holdfast_new_${newborn}'`),
    [],
  );
  assert.deepEqual(await directories(app), []);
  assert.deepEqual(await app.leftBehind(), []);
}
