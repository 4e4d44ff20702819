import assert from 'node:assert/strict';
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, test } from 'node:test';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import pino from 'pino';
import { loadWorkflowBundle } from '../../worker/workflowBundle.ts';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { largestPayload } from '../support/history.ts';
import { dropRestored, restore } from '../support/restores.ts';
import { fillSmallShop } from '../support/smallShop.ts';

/** Temporal replays a run's history whenever another worker takes the run over: it must fit the code, and stay small. */

const scope = fileScope();
let app: Application;
let workflowBundle: { readonly codePath: string };

before(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  app = await createApplication(scope);
  await fillSmallShop(app);
  await app.startWorker();
  workflowBundle = { codePath: await loadWorkflowBundle(pino({ level: 'silent' })) };
});

test('a backup keeps its history under 300 events and each payload under 100 KB, and replays', async () => {
  const { code, document } = await app.backup('shop');
  assert.equal(code, 0);
  const client = await app.temporal();
  const history = await client.workflow.getHandle(document.workflowId).fetchHistory();
  const events = history.events?.length ?? 0;
  assert.ok(events > 50 && events < 300, `${events} events`);
  const largest = largestPayload(history);
  assert.ok(largest > 1_000 && largest < 100_000, `${largest} bytes`);
  await Worker.runReplayHistory({ workflowBundle }, history, document.workflowId);
});

test('a restore keeps its history under 150 events and each payload under 100 KB, and replays', async () => {
  const { code, document } = await restore(app, 'latest', '--mode', 'replace', '--confirm', app.database.name);
  assert.equal(code, 0, JSON.stringify(document));
  const history = await (await app.temporal()).workflow.getHandle(document.workflowId).fetchHistory();
  const events = history.events?.length ?? 0;
  assert.ok(events > 50 && events < 150, `${events} events`);
  assert.ok(largestPayload(history) < 100_000);
  await Worker.runReplayHistory({ workflowBundle }, history, document.workflowId);
  await dropRestored(app);
});

test('a verification replays', async () => {
  const { document } = await app.backup('shop', '--kind', 'config');
  const verified = await app.ask('verify', document.id);
  const { workflowId } = verified.document as { workflowId: string };
  const history = await (await app.temporal()).workflow.getHandle(workflowId).fetchHistory();
  await Worker.runReplayHistory({ workflowBundle }, history, workflowId);
});

test('a drill replays, and so does a verification that drills; what they tell stays small', async () => {
  const { document } = await app.backup('shop', '--kind', 'config');
  for (const args of [
    ['drill', 'shop', '--backup', document.id],
    ['verify', document.id, '--depth', 'restored', '--backend', 'local'],
  ]) {
    const answer = await app.ask(...args);
    assert.equal(answer.code, 0, JSON.stringify(answer.document));
    const { workflowId } = answer.document as { workflowId: string };
    const history = await (await app.temporal()).workflow.getHandle(workflowId).fetchHistory();
    assert.ok((history.events?.length ?? 0) < 150);
    assert.ok(largestPayload(history) < 100_000);
    await Worker.runReplayHistory({ workflowBundle }, history, workflowId);
  }
});

test('a sweep replays, and the longest list it may give keeps its payload under 100 KB', async () => {
  const longAgo = new Date('2026-01-01');
  const settings = app.settings.backends['local'];
  assert.ok(settings?.type === 'local');
  for (let index = 0; index < 200; index += 1) {
    const id = `20260101T020000Z-${String(index).padStart(6, '0')}`;
    for (const [root, source] of [
      [settings.path, 'shop/manual'],
      [settings.path, `${'unknown'.repeat(9)}/pre-restore`],
    ] as const) {
      const file = join(root, source, id, 'database.dump.zst.enc');
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, 'x');
      await utimes(file, longAgo, longAgo);
    }
  }
  const swept = await app.ask('sweep', '--backend', 'local');
  assert.equal(swept.code, 0, JSON.stringify(swept.document));
  const { workflowId, reports } = swept.document as { workflowId: string; reports: { unlisted: number }[] };
  assert.ok(reports.some(({ unlisted }) => unlisted > 200));
  const history = await (await app.temporal()).workflow.getHandle(workflowId).fetchHistory();
  const largest = largestPayload(history);
  assert.ok(largest > 10_000 && largest < 100_000, `${largest} bytes`);
  await Worker.runReplayHistory({ workflowBundle }, history, workflowId);
});

const released = {
  'backup-0.1.0': 'backup-shop',
  'backup-degraded-0.1.0': 'backup-shop',
  'heal-0.1.0': 'heal-shop@holdfast',
  'restore-0.1.0': 'restore-shop',
  'restore-replace-0.1.0': 'restore-shop',
};
for (const [name, workflowId] of Object.entries(released)) {
  test(`the history of a released version replays: ${name}`, async () => {
    const history = await recorded(name);
    await Worker.runReplayHistory({ workflowBundle }, history, workflowId);
  });
}

test('a history that the code does not fit is refused', async () => {
  const history = await recorded('backup-0.1.0');
  const dump = history.events?.find(
    ({ activityTaskScheduledEventAttributes: scheduled }) => scheduled?.activityType?.name === 'dump',
  );
  assert.ok(dump?.activityTaskScheduledEventAttributes?.activityType);
  dump.activityTaskScheduledEventAttributes.activityType.name = 'somethingElse';
  await assert.rejects(Worker.runReplayHistory({ workflowBundle }, history, 'backup-shop'), /[Nn]ondetermini/);
});

async function recorded(name: string) {
  const file = new URL(`../fixtures/histories/${name}.json`, import.meta.url);
  return historyFromJSON(JSON.parse(await readFile(file, 'utf8')));
}
