import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { createApplication, type Application } from '../support/application.ts';
import type { Scope } from '../support/directories.ts';
import { isRunning } from '../../core/process/runningProcess.ts';
import { descendantsOf, haltDumps, until } from '../support/processes.ts';
import { attemptsOf, beginBackup, stepsOf, type BegunBackup } from '../support/runs.ts';
import { startS3Proxy, type Fault, type S3Proxy, type WireRequest } from '../support/s3Proxy.ts';
import { assertRestores, strays } from '../support/soundness.ts';
import { addBulkyTable } from '../support/smallShop.ts';
import { superviseWorker, type SupervisedWorker } from '../support/supervisedWorker.ts';

/** kill -9 of the worker's process, wherever a backup is at that moment. Its replacement starts at once. */

/** Most of a test's time is Temporal waiting for a heartbeat: they can wait side by side. */
const SIDE_BY_SIDE = { concurrency: 4 };
/** A step that waits for its time-out, rather than for its heartbeat, takes longer. */
const PATIENCE = { timeout: 200_000 };
const ROWS = 60_000;

interface Ground {
  readonly app: Application;
  readonly worker: SupervisedWorker;
  readonly proxy: S3Proxy;
}

describe('killed as soon as a step has been scheduled', SIDE_BY_SIDE, () => {
  const steps = ['preflight', 'dump', 'upload', 'open', 'verifyChecksum', 'publish', 'removeSpool', 'record'] as const;
  for (const step of steps) {
    test(`[33] ${step}: the run ends verified`, PATIENCE, async (t) => {
      const ground = await prepare(t);
      const backup = await beginBackup(ground.app, 'shop', '--kind', 'database');
      await until(`the step ${step}`, async () =>
        (await stepsOf(ground.app, backup.workflowId)).some(({ name }) => name === step) ? true : undefined,
      );
      await ground.worker.kill();
      await assertVerified(t, ground, backup);
      // What comes after the dump never makes it start over.
      if (!['preflight', 'dump', 'upload'].includes(step))
        assert.equal(await attemptsOf(ground.app, backup.workflowId, 'dump'), 1);
    });
  }
});

describe('killed inside a request to a storage', SIDE_BY_SIDE, () => {
  const moments: Record<string, { at: (request: WireRequest) => boolean; answer: Fault }> = {
    'a segment arrives': {
      at: ({ operation, query }) => operation === 'UploadPart' && query.get('partNumber') === '2',
      answer: { kind: 'reset' },
    },
    'a segment was stored': {
      at: ({ operation, query }) => operation === 'UploadPart' && query.get('partNumber') === '2',
      answer: { kind: 'loseAnswer' },
    },
    'an upload was begun and its id is not known yet': {
      at: ({ operation }) => operation === 'CreateMultipartUpload',
      answer: { kind: 'loseAnswer' },
    },
    'an object was completed': {
      at: ({ operation }) => operation === 'CompleteMultipartUpload',
      answer: { kind: 'loseAnswer' },
    },
    'a copy is read back': { at: ({ operation }) => operation === 'GetObject', answer: { kind: 'reset' } },
    'the manifest was published': {
      at: ({ operation, path }) => operation === 'PutObject' && path.endsWith('/manifest.json'),
      answer: { kind: 'loseAnswer' },
    },
  };
  for (const [moment, { at, answer }] of Object.entries(moments)) {
    test(`[33] as ${moment}: the run ends verified, nothing is lost or doubled`, PATIENCE, async (t) => {
      const ground = await prepare(t);
      const { worker, proxy, app } = ground;
      const killed = Promise.withResolvers<void>();
      let done = false;
      proxy.fault = (request) => {
        if (done || !at(request)) return undefined;
        done = true;
        // The killed process hears no answer; that there is one after it keeps the proxy's connection in order.
        worker.killOnly();
        killed.resolve();
        return answer;
      };
      const backup = await beginBackup(app, 'shop', '--kind', 'database');
      await killed.promise;
      await worker.restart();
      await assertVerified(t, ground, backup);
    });
  }
});

describe('killed in the middle of a dump', SIDE_BY_SIDE, () => {
  test(
    '[33] [2] pg_dump ends with its reader, and the backup holds bytes of the new attempt only',
    PATIENCE,
    async (t) => {
      const ground = await prepare(t);
      const { app, worker } = ground;
      const backup = await beginBackup(app, 'shop', '--kind', 'database');
      const dump = await haltDumps(worker.current, async () => (await app.spooledBytes()) > 0);
      worker.killOnly();
      dump.signal('SIGCONT');
      await until('the end of the orphaned pg_dump', async () => {
        const running = await Promise.all(dump.pids.map(isRunning));
        return running.some(Boolean) ? undefined : true;
      });
      await worker.restart();
      await assertVerified(t, ground, backup);
      assert.equal(await attemptsOf(app, backup.workflowId, 'dump'), 2);
    },
  );

  test('[33] a second worker on the same spool takes over what the killed one had', PATIENCE, async (t) => {
    const ground = await prepare(t);
    const { app } = ground;
    const second = await app.startWorker();
    const backup = await beginBackup(app, 'shop', '--kind', 'database');
    const dumping = await until('the worker that dumps', async () => {
      for (const worker of [ground.worker.current, second]) {
        const children = await descendantsOf(worker.pid);
        if (children.some(({ name }) => name === 'pg_dump') && (await app.spooledBytes()) > 0) return worker;
      }
      return undefined;
    });
    process.kill(dumping.pid, 'SIGKILL');
    await assertVerified(t, ground, backup);
  });
});

async function prepare(scope: Scope): Promise<Ground> {
  const app = await createApplication(scope);
  const proxy = await startS3Proxy(scope);
  const { far } = app.settings.backends;
  assert.ok(far?.type === 's3');
  far.endpoint = proxy.endpoint;
  await app.save();
  await addBulkyTable(app.database, ROWS);
  return { app, proxy, worker: await superviseWorker(app) };
}

async function assertVerified(t: TestContext, { app }: Ground, backup: BegunBackup): Promise<void> {
  const result = await backup.ended;
  assert.equal(result.state, 'verified', JSON.stringify(result));
  assert.deepEqual(await strays(app), []);
  await assertRestores(t, app, result.id);
}
