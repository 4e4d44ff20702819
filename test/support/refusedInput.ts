import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { Application } from './application.ts';

/** Starts a workflow as the Web UI's form would, and sees it end at once with InvalidInput and this message. */
export async function assertInputRefused(
  app: Application,
  workflowType: string,
  args: unknown[],
  message: RegExp,
): Promise<void> {
  const client = await app.temporal();
  const run = client.workflow.execute(workflowType, {
    args,
    taskQueue: app.settings.temporal.taskQueue,
    workflowId: `test-${randomBytes(6).toString('hex')}`,
    workflowRunTimeout: '30s',
  });
  await assert.rejects(run, (error: unknown) => {
    assert.ok(error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure, String(error));
    assert.equal(error.cause.type, 'InvalidInput');
    assert.match(error.cause.message, message);
    return true;
  });
}
