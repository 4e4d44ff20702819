import {
  ApplicationFailure,
  CancellationScope,
  getExternalWorkflowHandle,
  ParentClosePolicy,
  startChild,
  workflowInfo,
  type ChildWorkflowHandle,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { LockHolder } from '../../core/lockHolder.ts';
import { releaseSignal, sourceLock } from '../sourceLock.ts';
import { findLock, waitForLock } from './steps.ts';

export interface SourceLockOptions {
  /** What the run does, e.g. `backup`. */
  readonly purpose: string;
  /** Locks of different scopes do not exclude each other. Unset: that of the runs that read or change the source. */
  readonly scope?: string;
  /** `wait`: until it is free. `refuse`: `SourceBusy`. */
  readonly whenBusy: 'wait' | 'refuse';
  /** Told whom the run waits for, again whenever that changes. */
  readonly onWaiting: (holder: LockHolder) => void;
}

type Lock = ChildWorkflowHandle<typeof sourceLock>;

/**
 * Does work on a source while no other run does, over all schedules, hands and hosts that share a task queue. Rejects
 * with a failure of the type `SourceBusy`, whose message names the holder, or when cancelled while it waits; the work has
 * not begun then.
 */
export async function withSourceLock<Result>(
  source: string,
  options: SourceLockOptions,
  work: () => Promise<Result>,
): Promise<Result> {
  const lock = await take(source, options);
  try {
    return await work();
  } finally {
    await CancellationScope.nonCancellable(() => release(lock));
  }
}

async function take(source: string, options: SourceLockOptions): Promise<Lock> {
  for (;;) {
    const { lockId, held } = await findLock(source, options.scope);
    let holder = held;
    while (holder !== undefined) {
      if (options.whenBusy === 'refuse') throw busy(source, holder);
      options.onWaiting(holder);
      holder = await waitForLock.executeWithOptions({ summary: `held by ${holder.workflowId}` }, [lockId, holder]);
    }
    const lock = await startLock(lockId, source, options.purpose);
    // Else somebody was faster.
    if (lock !== undefined) return lock;
  }
}

/** Undefined where another run holds it. */
async function startLock(workflowId: string, source: string, purpose: string): Promise<Lock | undefined> {
  const holder = workflowInfo().workflowId;
  try {
    // A cancelled run still has to clean up behind the lock.
    return await CancellationScope.nonCancellable(() =>
      startChild(sourceLock, {
        workflowId,
        args: [{ source, holder, purpose }],
        parentClosePolicy: ParentClosePolicy.TERMINATE,
        memo: { purpose },
        staticSummary: `${source} is held by the ${purpose} ${holder}`,
      }),
    );
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return undefined;
    throw error;
  }
}

/** Waits for the lock's end, so that whoever comes after this run finds it free. */
async function release(lock: Lock): Promise<void> {
  try {
    // By its id: a child handle reaches no child that was started before this run was reset.
    await getExternalWorkflowHandle(lock.workflowId, lock.firstExecutionRunId).signal(releaseSignal);
    await lock.result();
  } catch {
    // Somebody ended it by hand before: it is free, and that is all that was wanted.
  }
}

function busy(source: string, { workflowId, purpose, since }: LockHolder): ApplicationFailure {
  const message = `${source} is busy: the ${purpose} ${workflowId} has been working on it since ${since}.`;
  const advice = `Wait for it, or cancel it, or start this with whenBusy set to wait (--when-busy wait).`;
  return ApplicationFailure.nonRetryable(message, 'SourceBusy', { advice });
}
