import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import type { BackupProgress } from '../../core/backup/run.ts';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { startGatedProxy, type GatedProxy } from '../support/gatedProxy.ts';
import { until } from '../support/processes.ts';

/** Backends at their own pace, seen from outside: patience, bandwidth, and a spool that is too small. */

const scope = fileScope();
const MEBIBYTE = 2 ** 20;
let app: Application;
let proxy: GatedProxy;

before(async () => {
  app = await createApplication(scope);
  proxy = await startGatedProxy(scope);
  const { far } = app.settings.backends;
  assert.ok(far?.type === 's3');
  Object.assign(far, { endpoint: proxy.endpoint, requestTimeout: '2s' });
  // The least that two parts at once can do with.
  app.settings.spool = { ...app.settings.spool, limit: '20MiB' };
  app.settings.backends['slow'] = { type: 'local', path: join(app.home, 'temporary'), bandwidth: '100KiB' };
  const plan = { source: 'shop', kind: 'media' as const, encryptTo: ['ops'] };
  app.settings.plans = {
    ...app.settings.plans,
    patient: { ...plan, backends: ['local', 'far'], uploads: { retryFor: '2m' } },
    slow: { ...plan, backends: ['local', 'slow'] },
  };
  await app.save();
  await writeFile(join(app.trees.media, 'film.mp4'), randomBytes(12 * MEBIBYTE));
  await app.startWorker();
});

test('[14] [19] a storage that is silent for a while is tried again for as long as the plan says, in few events', async () => {
  proxy.gate = { answerBytes: 0 };
  proxy.drop();
  const running = app.backup('shop', '--plan', 'patient');
  await until('tries of the silent storage', async () => proxy.connections > 10, 60_000);
  proxy.gate = {};
  proxy.drop();
  const { code, document } = await running;
  assert.equal(code, 0, JSON.stringify(document));
  const { events } = await (await app.temporal()).workflow.getHandle(document.workflowId).fetchHistory();
  assert.ok((events?.length ?? 0) < 150, `${events?.length} events`);
});

test('[19] what cannot be reached for longer than the plan allows is given up, and the rest is kept', async () => {
  proxy.gate = { answerBytes: 0 };
  proxy.drop();
  const { code, document } = await app.backup('shop', '--plan', 'shop', '--kind', 'media');
  proxy.gate = {};
  proxy.drop();
  assert.equal(code, 3, JSON.stringify(document));
  const far = document.copies.find(({ backend }) => backend === 'far');
  assert.equal(far?.problem?.type, 'BackendUnreachable');
  assert.match(far.problem.message, /given up after it failed for \d/);
});

test('an operator changes the bandwidth of a running backup, and nonsense is refused with what would be right', async () => {
  const running = app.backup('shop', '--plan', 'slow');
  const client = await app.temporal();
  const query = `TaskQueue = '${app.settings.temporal.taskQueue}' AND ExecutionStatus = 'Running' AND WorkflowType = 'backup'`;
  // The run before may still be listed.
  const handle = await until('the upload', async () => {
    for await (const { workflowId } of client.workflow.list({ query })) {
      const run = client.workflow.getHandle(workflowId);
      const progress = await run.query<BackupProgress>('progress').catch(() => undefined);
      if (progress?.plan === 'slow' && progress.copies.some(({ state }) => state === 'uploading')) return run;
    }
    return undefined;
  });
  const set = (change: unknown) => handle.executeUpdate('setBandwidth', { args: [change] });
  const refused: [unknown, RegExp][] = [
    [{ backend: 'slow', bytesPerSecond: 0 }, /at least 1 byte a second.*A right input is/],
    [{ backend: 'slow', bytesPerSecond: '-5' }, /expected a size.*A right input is/],
    [{ backend: 'snail', bytesPerSecond: 5 }, /Nothing is being sent to snail; this run sends to .*slow/],
    ['slow', /A right input is \{"backend"/],
  ];
  for (const [change, message] of refused) {
    await assert.rejects(set(change), (error) => {
      assert.ok(error instanceof WorkflowUpdateFailedError, String(error));
      assert.match(String(error.cause?.message), message);
      return true;
    });
  }
  // Twelve megabytes would take two minutes, and the one before a week.
  assert.deepEqual(await set({ backend: 'slow', bytesPerSecond: '20B' }), { slow: 20 });
  assert.deepEqual(await set({ backend: 'slow', bytesPerSecond: null }), { slow: null });
  const begun = Date.now();
  const { code, document } = await running;
  assert.equal(code, 0, JSON.stringify(document));
  assert.ok(Date.now() - begun < 60_000);
});

test('[12] [19] a storage that cannot keep up with a full spool is left behind, and the backup goes on degraded', async () => {
  await writeFile(join(app.trees.media, 'long-film.mp4'), randomBytes(60 * MEBIBYTE));
  proxy.gate = { requestRate: 200 * 1024 };
  proxy.drop();
  const { code, document } = await app.backup('shop', '--plan', 'patient');
  proxy.gate = {};
  proxy.drop();
  assert.equal(code, 3, JSON.stringify(document));
  const far = document.copies.find(({ backend }) => backend === 'far');
  assert.equal(far?.problem?.type, 'LeftBehind');
  assert.match(far.problem.message, /backend far was left behind: .* bytes\).*limit of 20\.0 MiB/);
  assert.match(document.reasons.join(), /No copy on far: backend far was left behind/);
  const verified = await app.holdfast('verify', document.id);
  assert.equal(verified.code, 0, verified.stderr);
});

test('after all this nothing is left in the spool, and no upload on any backend', async () => {
  assert.deepEqual(await app.leftBehind(), []);
  for (const store of Object.values(app.stores)) assert.deepEqual(await store.leftovers(), []);
});
