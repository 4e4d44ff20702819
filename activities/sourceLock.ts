import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { z } from 'zod';
import type { Dependencies } from './dependencies.ts';
import type { HeldLock, SourceLockState } from './lockSteps.ts';
import type { StepContext } from './support/step.ts';

/** Milliseconds between two looks at a lock. */
const INTERVAL = 1_000;
/** Milliseconds. Those who waited come back one after the other, and most of them see that one was faster. */
const LONGEST_COURTESY = 300;

export const findLockStep =
  ({ log, configuration }: Dependencies) =>
  async ({ workflowId }: StepContext, source: string, scope: string | undefined): Promise<SourceLockState> => {
    const lockId = lockIdOf(source, scope, configuration.temporal.taskQueue);
    const held = await findHolder({ client: Context.current().client, log, asking: workflowId }, lockId);
    return { lockId, ...(held && { held }) };
  };

export const waitForLockStep =
  ({ log }: Dependencies) =>
  async ({ workflowId, signal }: StepContext, lockId: string, held: HeldLock): Promise<HeldLock | undefined> => {
    const asking = { client: Context.current().client, log, asking: workflowId };
    const pause = (milliseconds: number) => sleep(milliseconds, undefined, { signal });
    let holder: HeldLock | undefined = held;
    while (holder?.lockRunId === held.lockRunId) {
      await pause(INTERVAL);
      holder = await findHolder(asking, lockId);
    }
    if (holder !== undefined) return holder;
    await pause(Math.random() * LONGEST_COURTESY);
    return findHolder(asking, lockId);
  };

/** E.g. `lock-shop@holdfast`, `lock-shop.heal@holdfast`: one per source, scope, and set of workers. */
function lockIdOf(source: string, scope: string | undefined, taskQueue: string): string {
  return `lock-${source}${scope === undefined ? '' : `.${scope}`}@${taskQueue}`;
}

interface Asking {
  readonly client: Client;
  readonly log: Dependencies['log'];
  /** The run that wants the lock, and so does not hold it. */
  readonly asking: string;
}

async function findHolder({ client, log, asking }: Asking, lockId: string): Promise<HeldLock | undefined> {
  const lock = client.workflow.getHandle(lockId);
  const found = await unlessGone(() => lock.describe());
  if (found?.status.name !== 'RUNNING') return undefined;
  const { parentExecution: parent, runId: lockRunId, memo, startTime } = found;
  const workflowId = parent?.workflowId ?? '';
  // Temporal ends a lock with its holder. What a reset of the holder may leave has no owner, and neither has a lock
  // that somebody started by hand.
  const stale = workflowId === asking || !(await runs(client, workflowId));
  if (!stale) return { workflowId, purpose: purposeOf(memo), since: startTime.toISOString(), lockRunId };
  log.warn({ lockId, holder: workflowId }, 'a lock without a holder is removed');
  await unlessGone(() => client.workflow.getHandle(lockId, lockRunId).terminate('Its holder has ended.'));
  return undefined;
}

async function runs(client: Client, workflowId: string): Promise<boolean> {
  if (workflowId === '') return false;
  const holder = await unlessGone(() => client.workflow.getHandle(workflowId).describe());
  return holder?.status.name === 'RUNNING';
}

async function unlessGone<Answer>(ask: () => Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

function purposeOf(memo: unknown): string {
  const parsed = z.object({ purpose: z.string() }).safeParse(memo);
  return parsed.success ? parsed.data.purpose : 'something';
}
