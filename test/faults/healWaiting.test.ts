import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { before, test } from 'node:test';
import { ApplicationFailure } from '@temporalio/common';
import { findBackup } from '../../core/catalog/read.ts';
import { healWorkflowId, type HealProgress, type HealResult } from '../../core/heal/run.ts';
import { createApplication, type Application, type RunningWorker } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { descendantsOf, until } from '../support/processes.ts';
import { testS3 } from '../support/servers.ts';
import { addBulkyTable, fillSmallShop } from '../support/smallShop.ts';
import { fileOf } from '../support/storedFiles.ts';
import { startS3Proxy, type S3Proxy } from '../support/s3Proxy.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcpProxy.ts';

/** Heals whose backend is away, whose worker dies, or whose backup still runs. */

const scope = fileScope();
let app: Application;
let worker: RunningWorker;
let farProxy: TcpProxy;
let slowProxy: S3Proxy;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  await addBulkyTable(app.database, 60_000);
  const { hostname, port } = new URL(testS3().endpoint);
  farProxy = await startTcpProxy(scope, { host: hostname, port: Number(port) });
  slowProxy = await startS3Proxy(scope);
  const { near, far } = app.settings.backends;
  assert.ok(near?.type === 's3' && far?.type === 's3');
  Object.assign(far, { endpoint: `http://127.0.0.1:${farProxy.port}`, requestTimeout: '2s' });
  Object.assign(near, { endpoint: slowProxy.endpoint });
  await app.save();
  worker = await app.startWorker();
});

test('[19] a backend that is down: degraded and healing, healed when it is back and the heal is told, not dumped again', async () => {
  await farProxy.goAway();
  const { code, document } = await app.backup('shop', '--kind', 'database');
  assert.equal(code, 3, JSON.stringify(document));
  assert.equal(document.state, 'degraded');
  assert.equal(document.heal, healWorkflowId(app.settings.temporal.taskQueue, 'shop'));
  const { id } = document;
  await until('the heal to wait', async () => ((await progress()).phase === 'waiting' ? true : undefined), 60_000);
  const waiting = await stateOf(id);
  assert.equal(waiting.state, 'degraded');
  assert.ok(waiting.copies.find(({ backend }) => backend === 'far')?.healingSince);
  assert.match(
    (await app.holdfast('list')).stdout,
    new RegExp(`${id} .*degraded \\(healing\\) .*far failed \\(healing\\)`),
  );
  const asked = await app.ask('heal', 'shop');
  assert.equal(asked.code, 3, JSON.stringify(asked.document));
  assert.equal((asked.document as HealResult).waiting, true);

  await farProxy.comeBack();
  const told = await app.ask('heal', 'shop');
  assert.equal(told.code, 0, JSON.stringify(told.document));
  assert.deepEqual(
    (told.document as HealResult).copies.map(({ backup, backend, outcome }) => [backup, backend, outcome]),
    [[id, 'far', 'healed']],
  );
  const healed = await stateOf(id);
  assert.equal(healed.state, 'verified');
  assert.equal(healed.problem, undefined);
  assert.ok(healed.copies.every(({ healingSince }) => healingSince === undefined));
  assert.deepEqual(await keysOf('far', id), await keysOf('local', id));
  const handle = (await app.temporal()).workflow.getHandle(document.heal ?? '');
  assert.equal(((await handle.result()) as HealResult).state, 'healed');
  const { events } = await handle.fetchHistory();
  const steps = events?.map((event) => event.activityTaskScheduledEventAttributes?.activityType?.name);
  assert.ok(!steps?.includes('dump'));
});

test('[19] a run with too few copies has failed, and is a backup once the others are made from what was kept', async () => {
  await farProxy.goAway();
  const { code, document } = await app.backup('shop', '--kind', 'config', '--backend', 'local', 'far');
  assert.equal(code, 1, JSON.stringify(document));
  assert.equal((await stateOf(document.id)).state, 'failed');
  await farProxy.comeBack();
  assert.equal((await app.ask('heal', 'shop')).code, 0);
  assert.equal((await stateOf(document.id)).state, 'verified');
});

test('a backup that still runs is left alone, though copies of it are published already', async () => {
  // The copy on the directory is published; that behind the proxy waits until it is let go on.
  const held = Promise.withResolvers<undefined>();
  slowProxy.fault = ({ method }) => (method === 'GET' || method === 'HEAD' ? undefined : held.promise);
  const running = app.start('backup', 'shop', '--kind', 'config', '--json');
  const id = await until('a published copy', async () => {
    const keys = [...(await app.stores.local.objects()).keys()];
    for (const key of keys.filter((each) => each.endsWith('manifest.json'))) {
      const found = key.split('/')[2] ?? '';
      if (!(await known(found))) return found;
    }
    return undefined;
  });
  const { document } = await app.ask('heal', 'shop', '--no-wait');
  assert.ok(document);
  const survey = await until('the heal to wait', async () => {
    const seen = await progress().catch(() => undefined);
    return seen?.phase === 'waiting' ? seen : undefined;
  });
  assert.ok(survey.copies.every(({ backup }) => backup !== id));
  assert.equal(await known(id), false, 'the backup is under way');
  slowProxy.fault = () => undefined;
  held.resolve(undefined);
  const { code } = await running.ended;
  assert.equal(code, 0);
  assert.equal((await app.ask('heal', 'shop')).code, 0);
  assert.equal((await stateOf(id)).state, 'verified');
});

test('[33] a heal whose worker is killed in the middle goes on with another one, and leaves nothing behind', async () => {
  const { document } = await app.backup('shop', '--kind', 'database');
  const { id } = document;
  await rm(fileOf(app, 'near', id, '.'), { recursive: true });
  // From the directory, segment by segment: slowly enough to be caught in between.
  await slow(({ operation }) => operation === 'UploadPart');
  const healing = app.ask('heal', 'shop', '--backup', id);
  await until('an upload under way', async () =>
    slowProxy.of('UploadPart').length > 1 && (await app.stores.near.leftovers()).length > 0 ? true : undefined,
  );
  for (const { pid } of await descendantsOf(worker.pid)) process.kill(pid, 'SIGKILL');
  process.kill(worker.pid, 'SIGKILL');
  slowProxy.fault = () => undefined;
  worker = await app.startWorker();
  const { code, document: healed } = await healing;
  assert.equal(code, 0, JSON.stringify(healed));
  assert.deepEqual(await keysOf('near', id), await keysOf('local', id));
  for (const store of Object.values(app.stores)) assert.deepEqual(await store.leftovers(), []);
  assert.equal((await app.ask('verify', id, '--no-heal')).code, 0);
});

test('[20] the scan has every source looked at, and reads back those copies that nobody has read for longest', async () => {
  const { document } = await app.backup('shop', '--kind', 'config');
  const client = await app.temporal();
  await rm(fileOf(app, 'local', document.id, 'manifest.json'));
  const { heals } = (await client.workflow.execute('scan', {
    args: [{ sample: 2 }],
    taskQueue: app.settings.temporal.taskQueue,
    workflowId: `scan-${app.settings.temporal.taskQueue}`,
  })) as { heals: Record<string, string> };
  const result = (await client.workflow.getHandle(heals['shop'] ?? '').result()) as HealResult;
  assert.equal(result.state, 'healed', JSON.stringify(result));
  assert.deepEqual(
    result.copies.map(({ outcome }) => outcome),
    ['healed', 'whole', 'whole'],
  );
  assert.equal((await stateOf(document.id)).state, 'verified');
});

test('a heal that was started under another id tells the one of its source', async () => {
  const { document } = await app.backup('shop', '--kind', 'config');
  await rm(fileOf(app, 'local', document.id, 'manifest.json'));
  const client = await app.temporal();
  const { taskQueue } = app.settings.temporal;
  const handed = (await client.workflow.execute('heal', {
    args: [{ source: 'shop' }],
    taskQueue,
    workflowId: `by-hand-${taskQueue}`,
  })) as HealResult;
  assert.match(handed.warnings.join(), new RegExp(`Handed over to ${healWorkflowId(taskQueue, 'shop')}`));
  assert.notEqual(handed.state, 'healed');
  await client.workflow.getHandle(healWorkflowId(taskQueue, 'shop')).result();
  assert.equal((await stateOf(document.id)).state, 'verified');
});

test('[19] a heal that waited long enough gives up: it fails, and says what is not whole', async () => {
  const { document } = await app.backup('shop', '--kind', 'config');
  await rm(fileOf(app, 'far', document.id, 'manifest.json'));
  assert.equal((await app.ask('verify', document.id, '--no-heal')).code, 1);
  await farProxy.goAway();
  const { taskQueue } = app.settings.temporal;
  const workflowId = healWorkflowId(taskQueue, 'shop');
  const client = await app.temporal();
  // As an earlier run of it would hand over to the next.
  const carried = { requests: [{ input: { source: 'shop' } }], giveUpAt: Date.now() - 1, pause: 1_000 };
  const run = client.workflow.execute('heal', { args: [{ source: 'shop' }, carried], taskQueue, workflowId });
  await assert.rejects(run, (error: Error) => {
    const { cause } = error;
    assert.ok(cause instanceof ApplicationFailure);
    assert.equal(cause.type, 'TooFewCopies');
    assert.match(cause.message, /far/);
    return true;
  });
  const far = (await stateOf(document.id)).copies.find(({ backend }) => backend === 'far');
  assert.deepEqual([far?.state, far?.healingSince], ['missing', undefined]);
  await farProxy.comeBack();
  assert.equal((await app.ask('heal', 'shop')).code, 0);
});

test('a backup that the catalog does not know is healed too', async () => {
  const { document } = await app.backup('shop', '--kind', 'config');
  await app.useCatalog(async ({ pool }) => void (await pool.query('delete from holdfast.backups')));
  await rm(fileOf(app, 'near', document.id, '.'), { recursive: true });
  await until(
    'the healed copy',
    async () => {
      // It is not older than a run may be that nobody sees yet; then it is.
      const { document: result } = await app.ask('heal', 'shop', '--backup', document.id);
      return (result as HealResult).state === 'healed' ? true : undefined;
    },
    60_000,
  );
  assert.deepEqual(await keysOf('near', document.id), await keysOf('local', document.id));
});

async function slow(
  which: S3Proxy['fault'] extends (request: infer Request) => unknown ? (request: Request) => boolean : never,
) {
  slowProxy.fault = (request) => (which(request) ? { kind: 'delay', milliseconds: 700 } : undefined);
}

async function progress(): Promise<HealProgress> {
  const id = healWorkflowId(app.settings.temporal.taskQueue, 'shop');
  return (await app.temporal()).workflow.getHandle(id).query<HealProgress>('progress');
}

const stateOf = (id: string) => app.useCatalog((catalog) => findBackup(catalog, id));
const known = (id: string) =>
  stateOf(id).then(
    () => true,
    () => false,
  );

async function keysOf(backend: keyof Application['stores'], id: string): Promise<string[]> {
  return [...(await app.stores[backend].objects()).keys()].filter((key) => key.includes(id));
}
