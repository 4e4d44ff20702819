import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, before, test } from 'node:test';
import type { WorkflowHandle } from '@temporalio/client';
import type { BackupProgress, BackupResult } from '../../core/backup/run.ts';
import { listBackups } from '../../core/catalog/read.ts';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { until } from '../support/processes.ts';
import { querySession } from '../support/session.ts';
import { fillSmallShop } from '../support/smallShop.ts';

/** One run at a time works on a source: by hand, by schedule, on whatever host. */

const scope = fileScope();
let app: Application;
let lockId: string;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  app.settings.sources['other'] = { files: { media: { path: app.trees.media } } };
  app.settings.plans = {
    ...app.settings.plans,
    other: { source: 'other', kind: 'media', backends: ['local'], encryptTo: ['ops'] },
  };
  await app.save();
  lockId = `lock-shop@${app.settings.temporal.taskQueue}`;
  await app.startWorker();
  await app.startWorker({ spool: join(app.home, 'spool-of-another-host') });
});

afterEach(async () => {
  assert.notEqual(await lockState(), 'RUNNING', 'the lock outlived its test');
});

test('a second run that is not to wait is refused, names the holder, and is recorded nowhere', async () => {
  await whileBusy(async (holder, letGo) => {
    const cataloged = (await catalogedBackups()).length;
    const { code, document } = await app.backup('shop', '--kind', 'config', '--when-busy', 'refuse');
    assert.equal(code, 4, JSON.stringify(document));
    assert.equal(document.error?.type, 'SourceBusy');
    assert.match(document.error?.message ?? '', new RegExp(`^shop is busy: the backup ${holder.workflowId} `));
    assert.match(document.error?.advice ?? '', /--when-busy wait/);
    assert.equal((await catalogedBackups()).length, cataloged);
    const other = await app.backup('other', '--when-busy', 'refuse');
    assert.equal(other.code, 0, other.stderr);
    await letGo();
    assert.equal(((await holder.result()) as BackupResult).state, 'verified');
  });
});

test('a second run waits, says for whom, and begins when the first has ended', async () => {
  await whileBusy(async (holder, letGo) => {
    const command = app.start('backup', 'shop', '--kind', 'config');
    await until('the waiting', async () => {
      const said = command.output.stderr;
      return said.includes(`waiting for the backup ${holder.workflowId}, under way since `) ? true : undefined;
    });
    const waiting = await handleOf(/(backup-shop-\S+) runs/.exec(command.output.stderr)?.[1]);
    const progress = await waiting.query<BackupProgress>('progress');
    assert.equal(progress.phase, 'waiting');
    assert.equal(progress.waitingFor?.workflowId, holder.workflowId);
    assert.equal(progress.waitingFor?.purpose, 'backup');
    await letGo();
    const { code, stderr } = await command.ended;
    assert.equal(code, 0, stderr);
    const [first, second] = [(await holder.result()) as BackupResult, (await waiting.result()) as BackupResult];
    assert.ok(Date.parse(second.startedAt) >= Date.parse(first.startedAt) + first.duration);
    assert.ok(second.id > first.id, `${second.id} is older than ${first.id}`);
    const { events } = await waiting.fetchHistory();
    assert.ok((events?.length ?? 0) < 150, `${events?.length} events`);
  });
});

test('a run that waits can be cancelled; the holder goes on', async () => {
  await whileBusy(async (holder, letGo) => {
    const cataloged = (await catalogedBackups()).length;
    const waiting = await startBackup();
    await untilWaiting(waiting, holder);
    await waiting.cancel();
    await assert.rejects(waiting.result());
    assert.equal((await waiting.describe()).status.name, 'CANCELLED');
    assert.equal((await catalogedBackups()).length, cataloged);
    await letGo();
    assert.equal(((await holder.result()) as BackupResult).state, 'verified');
  });
});

test('[33] a holder that is terminated frees the source at once', async () => {
  await whileBusy(async (holder, letGo) => {
    const waiting = await startBackup();
    await untilWaiting(waiting, holder);
    await holder.terminate('test');
    await untilBegun(waiting);
    await letGo();
    assert.equal(((await waiting.result()) as BackupResult).state, 'verified');
  });
});

test('a holder that is cancelled frees the source when it has cleaned up', async () => {
  await whileBusy(async (holder, letGo) => {
    const waiting = await startBackup();
    await untilWaiting(waiting, holder);
    const { id } = await holder.query<BackupProgress>('progress');
    await holder.cancel();
    await untilBegun(waiting);
    const [record] = (await catalogedBackups()).filter((backup) => backup.id === id);
    assert.equal(record?.problem?.type, 'Cancelled');
    await letGo();
    assert.equal(((await waiting.result()) as BackupResult).state, 'verified');
  });
});

for (const [where, index] of [
  ['before it had the source', 0],
  ['after', -1],
] as const)
  test(`a holder that is reset to a point ${where} has it again, and others wait for it`, async () => {
    await whileBusy(async (holder, letGo) => {
      const client = await app.temporal();
      const { events = [] } = await holder.fetchHistory();
      const tasks = events?.filter((event) => event.workflowTaskCompletedEventAttributes) ?? [];
      const task = tasks.at(index)?.eventId ?? null;
      await client.workflowService.resetWorkflowExecution({
        namespace: 'default',
        workflowExecution: { workflowId: holder.workflowId },
        reason: 'test',
        workflowTaskFinishEventId: task,
        requestId: `${holder.workflowId}-${index}`,
      });
      await untilBegun(holder);
      const { code, document } = await app.backup('shop', '--kind', 'config', '--when-busy', 'refuse');
      assert.equal(code, 4, JSON.stringify(document));
      assert.ok(document.error?.message.includes(holder.workflowId));
      await letGo();
      const result = (await (await handleOf(holder.workflowId)).result()) as BackupResult;
      assert.equal(result.state, 'verified');
    });
  });

test('of five runs that were started at once each has the source for itself', async () => {
  const runs = await Promise.all(Array.from({ length: 5 }, () => startBackup()));
  const results = await Promise.all(runs.map(async (run) => (await run.result()) as BackupResult));
  const times = results.map(({ startedAt, duration }) => ({
    from: Date.parse(startedAt),
    to: Date.parse(startedAt) + duration,
  }));
  const inOrder = times.toSorted((one, other) => one.from - other.from);
  for (const [index, { from }] of inOrder.entries()) assert.ok(from >= (inOrder[index - 1]?.to ?? 0));
  assert.equal(new Set(results.map(({ id }) => id)).size, 5);
  for (const run of runs) assert.ok(((await run.fetchHistory()).events?.length ?? 0) < 300);
});

/** While a run that was started by hand is in the middle of its dump. */
async function whileBusy(use: (holder: WorkflowHandle, letGo: () => Promise<void>) => Promise<void>): Promise<void> {
  await querySession(app.database, async (client) => {
    await client.query('begin; lock table customers in access exclusive mode');
    const holder = await startBackup('database');
    await untilBegun(holder);
    await use(holder, async () => void (await client.query('rollback')));
  });
}

/** As a schedule does it: past the command line. */
async function startBackup(kind = 'config'): Promise<WorkflowHandle> {
  const client = await app.temporal();
  return client.workflow.start('backup', {
    args: [{ source: 'shop', kind }],
    taskQueue: app.settings.temporal.taskQueue,
    workflowId: `scheduled-${lockId}-${Math.random().toString(36).slice(2)}`,
  });
}

async function handleOf(workflowId: string | undefined): Promise<WorkflowHandle> {
  assert.ok(workflowId);
  return (await app.temporal()).workflow.getHandle(workflowId);
}

function untilWaiting(run: WorkflowHandle, holder: WorkflowHandle): Promise<boolean> {
  return until('the waiting', async () => {
    const { waitingFor } = await run.query<BackupProgress>('progress');
    return waitingFor?.workflowId === holder.workflowId ? true : undefined;
  });
}

/** It has the lock, and its plan. */
function untilBegun(run: WorkflowHandle): Promise<boolean> {
  return until('the beginning', async () => {
    const { workflowId } = run;
    const { plan } = await (await handleOf(workflowId)).query<BackupProgress>('progress');
    return plan === undefined ? undefined : true;
  });
}

async function lockState(): Promise<string | undefined> {
  return (await app.temporal()).workflow
    .getHandle(lockId)
    .describe()
    .then(({ status }) => status.name);
}

function catalogedBackups() {
  return app.useCatalog((catalog) => listBackups(catalog, { source: 'shop' }));
}
