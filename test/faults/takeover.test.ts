import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, test, type TestContext } from 'node:test';
import type { BackupProgress, BackupResult } from '../../core/backup/run.ts';
import { isRunning } from '../../core/process/runningProcess.ts';
import { createApplication, type Application, type RunningWorker } from '../support/application.ts';
import { testScope } from '../support/fileScope.ts';
import { descendantsOf, haltDumps, until } from '../support/processes.ts';
import { startS3Proxy, type S3Proxy } from '../support/s3Proxy.ts';
import { addBulkyTable } from '../support/smallShop.ts';

/** Workers and hosts that are lost in the middle of a backup, and those that go on with it. */

const SEGMENT = 5 * 2 ** 20;
let app: Application;
let proxy: S3Proxy;

beforeEach(async (t) => {
  const scope = testScope(t as TestContext);
  app = await createApplication(scope);
  await addBulkyTable(app.database, 100_000);
  proxy = await startS3Proxy(scope);
  const { far } = app.settings.backends;
  assert.ok(far?.type === 's3');
  far.endpoint = proxy.endpoint;
  // Long enough for a worker that starts, short enough to be waited for.
  app.settings.spool = { ...app.settings.spool, takeoverAfter: '15s' };
  await app.save();
});

test('[33] a worker that is told to stop hands its dump over at once; stops do not use up the tries', async (t) => {
  const workers = [await app.startWorker(), await app.startWorker()];
  const { workflowId, result } = await startBackup();
  let busy = await dumpingOf(workers);
  // More often than a dump may fail.
  for (let stop = 0; stop < 4; stop += 1) {
    const begun = performance.now();
    await stopWorker(busy);
    workers.splice(workers.indexOf(busy), 1);
    busy = await dumpingOf(workers, 60_000);
    t.diagnostic(`taken over ${Math.round(performance.now() - begun)} ms after the signal`);
    workers.push(await app.startWorker());
  }
  for (const { pid } of (await descendantsOf(busy.pid)).filter(readsRows)) process.kill(pid, 'SIGCONT');
  assert.equal((await result).state, 'verified');
  assert.ok((await attemptsOf(workflowId, 'dump')) >= 5);
  await assertClean();
});

test('[33] a worker that is killed in the middle of its dump is replaced by another on its host', async () => {
  const first = await app.startWorker();
  const { workflowId, result } = await startBackup();
  await haltDumps(first, async () => (await app.spooledBytes()) > SEGMENT);
  await killWorker(first);
  await app.startWorker();
  const { state, warnings } = await result;
  assert.equal(state, 'verified', warnings.join('\n'));
  assert.equal(await attemptsOf(workflowId, 'dump'), 2);
  await assertClean();
});

test('[33] an upload whose worker is killed goes on where it was: only what was in flight is sent again', async () => {
  const first = await app.startWorker();
  hangFrom(3);
  const { workflowId, result } = await startBackup();
  await untilOthersVerified(workflowId);
  await killWorker(first);
  proxy.fault = () => undefined;
  await app.startWorker();
  assert.equal((await result).state, 'verified');
  assert.equal(await attemptsOf(workflowId, 'dump'), 1);
  assert.deepEqual(
    ['1', '2'].map((number) => partsSent().filter((part) => part === number).length),
    [1, 1],
    partsSent().join(),
  );
  assert.equal(proxy.of('CreateMultipartUpload').length, 1);
  await assertClean();
});

test('[2] [33] a dump that fails by itself thrice has failed, whatever its worker went through in between', async () => {
  let worker = await app.startWorker();
  const { workflowId, result } = await startBackup();
  const failed = assert.rejects(result);
  for (let failure = 0; failure < 3; failure += 1) {
    const dump = await haltDumps(worker, async () => true);
    dump.signal('SIGKILL');
    if (failure === 2) break;
    // The failure is told before the worker is.
    await until('the next attempt', async () => {
      const { raw } = await (await app.temporal()).workflow.getHandle(workflowId).describe();
      const pending = raw.pendingActivities?.find(({ activityType }) => activityType?.name === 'dump');
      return (pending?.attempt ?? 0) > failure + 1 || undefined;
    });
    await stopWorker(worker);
    worker = await app.startWorker();
  }
  await failed;
  assert.equal(await attemptsOf(workflowId, 'dump'), 3);
});

test('[33] a host that is gone: the backup begins again on another, under a new id, and says so', async () => {
  const first = await app.startWorker();
  const { workflowId, result } = await startBackup();
  await haltDumps(first, async () => (await app.spooledBytes()) > SEGMENT);
  const { id: lostId } = await progressOf(workflowId);
  await killWorker(first);
  await app.startWorker({ spool: join(app.home, 'spool-elsewhere') });
  const { state, id, warnings } = await result;
  assert.equal(state, 'verified');
  assert.notEqual(id, lostId);
  assert.ok(
    warnings.some((warning) => /^No worker was heard of at the spool of \S+ for 15\.0 s: .*began again/.test(warning)),
    warnings.join('\n'),
  );
  await assertNothingOf(lostId);
  assert.ok((await historyLength(workflowId)) < 300);
  // What the lost host holds goes when it is back.
  const spooled = (await app.leftBehind()).filter((name) => !name.startsWith('holdfast-'));
  assert.deepEqual(spooled, [lostId]);
});

test('[33] a host that is gone after a copy was published: no new dump, and the rest is degraded with its reason', async (t) => {
  const first = await app.startWorker();
  hangFrom(3);
  const { workflowId, result } = await startBackup();
  await untilOthersVerified(workflowId);
  const { id: begunId } = await progressOf(workflowId);
  await killWorker(first);
  proxy.fault = () => undefined;
  await app.startWorker({ spool: join(app.home, 'spool-elsewhere') });
  const { state, id, reasons, warnings } = await result;
  assert.equal(state, 'degraded');
  assert.equal(id, begunId);
  assert.equal(reasons.length, 1);
  assert.match(reasons[0] ?? '', /^No copy on far: No worker served the run's spool in time/);
  assert.ok(warnings.some((warning) => /no further copy could be made/.test(warning)));
  assert.deepEqual(await app.stores.far.leftovers(), []);
  t.diagnostic(`${await historyLength(workflowId)} events`);
});

test('[33] a host that comes back late goes on with what its spool holds', async () => {
  const first = await app.startWorker();
  hangFrom(3);
  const { workflowId, result } = await startBackup(['far']);
  await until('the end of the dump', async () => {
    const spooled = await readdir(app.spool, { recursive: true });
    return spooled.some((name) => name.endsWith('/sealed.json')) && partsSent().includes('3') ? true : undefined;
  });
  const { id: begunId } = await progressOf(workflowId);
  await killWorker(first);
  proxy.fault = () => undefined;
  // Nobody is left to answer a query: the run's second preflight waits for a worker.
  const { workflow } = await app.temporal();
  await until(
    'the second preflight',
    async () => {
      const { raw } = await workflow.getHandle(workflowId).describe();
      return raw.pendingActivities?.some(({ activityType }) => activityType?.name === 'preflight') ||
        raw.pendingWorkflowTask
        ? true
        : undefined;
    },
    60_000,
  );
  await app.startWorker();
  const { state, id } = await result;
  assert.equal(state, 'verified');
  assert.equal(id, begunId);
  assert.equal(partsSent().filter((part) => part === '1').length, 1);
});

/** From that part on, nothing that is sent to `far` is answered. */
function hangFrom(part: number): void {
  proxy.fault = ({ operation, query }) =>
    operation === 'UploadPart' && Number(query.get('partNumber')) >= part ? { kind: 'hang' } : undefined;
}

function partsSent(): (string | null)[] {
  return proxy.of('UploadPart').map(({ query }) => query.get('partNumber'));
}

async function startBackup(
  backends?: readonly string[],
): Promise<{ workflowId: string; result: Promise<BackupResult> }> {
  const { workflow } = await app.temporal();
  const workflowId = `takeover-${app.settings.temporal.taskQueue}-${Date.now()}`;
  const handle = await workflow.start('backup', {
    args: [{ source: 'shop', kind: 'database', ...(backends && { backends }) }],
    taskQueue: app.settings.temporal.taskQueue,
    workflowId,
  });
  return { workflowId, result: handle.result() as Promise<BackupResult> };
}

async function progressOf(workflowId: string): Promise<BackupProgress> {
  return (await app.temporal()).workflow.getHandle(workflowId).query<BackupProgress>('progress');
}

async function untilOthersVerified(workflowId: string): Promise<void> {
  await until('the other copies', async () => {
    const { copies } = await progressOf(workflowId);
    const verified = copies.filter(({ state }) => state === 'verified').map(({ backend }) => backend);
    return verified.toSorted().join() === 'local,near' && partsSent().includes('3') ? true : undefined;
  });
}

/** The one of the workers that runs the dump. Its dump stays halted, so that it does not end before its worker does. */
async function dumpingOf(workers: readonly RunningWorker[], timeout?: number): Promise<RunningWorker> {
  const find = async () => {
    for (const worker of workers) {
      const dump = (await descendantsOf(worker.pid)).find(readsRows);
      if (dump === undefined) continue;
      process.kill(dump.pid, 'SIGSTOP');
      return worker;
    }
    return undefined;
  };
  return until('the dump', find, timeout);
}

function readsRows({ name, arguments: args }: { readonly name: string; readonly arguments: string }): boolean {
  return name === 'pg_dump' && args.includes('--snapshot') && !args.includes('--section');
}

/** As the machine does when memory runs out: the worker only, at once. */
async function killWorker(worker: RunningWorker): Promise<void> {
  const orphans = (await descendantsOf(worker.pid)).map(({ pid }) => pid);
  process.kill(worker.pid, 'SIGKILL');
  await until('the end of the worker', async () => ((await isRunning(worker.pid)) ? undefined : true));
  for (const pid of orphans) if (await isRunning(pid)) process.kill(pid, 'SIGKILL');
}

async function stopWorker(worker: RunningWorker): Promise<void> {
  process.kill(worker.pid, 'SIGTERM');
  await until('the end of the worker', async () => ((await isRunning(worker.pid)) ? undefined : true));
}

async function attemptsOf(workflowId: string, step: string): Promise<number> {
  const { events } = await (await app.temporal()).workflow.getHandle(workflowId).fetchHistory();
  const scheduled = events?.find((event) => event.activityTaskScheduledEventAttributes?.activityType?.name === step);
  const started = events?.find(
    (event) => Number(event.activityTaskStartedEventAttributes?.scheduledEventId) === Number(scheduled?.eventId),
  );
  return started?.activityTaskStartedEventAttributes?.attempt ?? 0;
}

async function historyLength(workflowId: string): Promise<number> {
  return (await (await app.temporal()).workflow.getHandle(workflowId).fetchHistory()).events?.length ?? 0;
}

async function assertClean(): Promise<void> {
  assert.deepEqual(
    (await app.leftBehind()).filter((name) => !name.startsWith('holdfast-')),
    [],
  );
  for (const store of Object.values(app.stores)) assert.deepEqual(await store.leftovers(), []);
}

async function assertNothingOf(id: string): Promise<void> {
  for (const store of Object.values(app.stores)) {
    assert.deepEqual(
      [...(await store.objects()).keys()].filter((key) => key.includes(id)),
      [],
    );
    assert.deepEqual(await store.leftovers(), []);
  }
}
