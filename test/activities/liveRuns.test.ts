import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { liveRunsOf } from '../../activities/support/liveRuns.ts';
import { isHoldfastError } from '../../core/errors.ts';
import { until } from '../support/processes.ts';
import { testTemporal } from '../support/servers.ts';

test('[21] runs under way are seen with what they say they write; those of another Holdfast by their backup only', async (t) => {
  const { address, namespace } = testTemporal();
  const connection = await Connection.connect({ address });
  const client = new Client({ connection, namespace });
  const own = `test-${randomBytes(6).toString('hex')}`;
  const writes = { source: 'shop', backup: '20260101T020000Z-abc123' };
  const started: WorkflowHandle[] = [];
  // Nobody listens on these queues: the runs stay as they are.
  const start = async (name: string, taskQueue: string, workflowType: string, memo?: Record<string, unknown>) => {
    const workflowId = `${own}-${name}`;
    const handle = await client.workflow.start(workflowType, {
      workflowId,
      taskQueue,
      args: [],
      ...(memo && { memo }),
    });
    started.push(handle);
    return handle;
  };
  t.after(async () => {
    await Promise.all(started.map((handle) => handle.terminate().catch(() => undefined)));
    await connection.close();
  });
  const ended = await start('ended', own, 'backup', { writes });
  await ended.terminate();
  await start('elsewhere-heal', `${own}-other`, 'heal', { writes: { source: 'shop' } });
  await start('elsewhere', `${own}-other`, 'backup', { writes });
  await start('reader', own, 'verify');
  await start('silent', own, 'backup');
  await start('heal', own, 'heal', { writes: { source: 'shop' } });
  await start('backup', own, 'backup', { writes });

  const expected = new Map<string, object>([
    [`${own}-silent`, { own: true }],
    [`${own}-heal`, { own: true, source: 'shop' }],
    [`${own}-backup`, { own: true, ...writes }],
    [`${own}-elsewhere`, { own: false, ...writes }],
  ]);
  const seen = await until('all of them', async () => {
    const runs = (await liveRunsOf(client, own)).filter(({ run }) => run.startsWith(own));
    return runs.length === expected.size ? runs : undefined;
  });
  for (const { run, startedAt, ...said } of seen) {
    assert.deepEqual({ own: startedAt !== undefined, ...said }, expected.get(run), run);
  }
});

test('[21] a Temporal that does not answer is an error, never an empty list', async () => {
  const { address, namespace } = testTemporal();
  const connection = await Connection.connect({ address });
  const client = new Client({ connection, namespace: `${namespace}-that-is-not-there` });
  await assert.rejects(liveRunsOf(client, 'any'), (error) => isHoldfastError(error, 'TemporalUnreachable'));
  await connection.close();
});
