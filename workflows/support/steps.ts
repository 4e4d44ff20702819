import { ActivityCancellationType, proxyActivities, type ActivityInterfaceFor } from '@temporalio/workflow';
import type { BackupSteps } from '../../activities/backupSteps.ts';
import type { LockSteps } from '../../activities/lockSteps.ts';
import type { BackupAssignment } from '../../core/backup/run.ts';

/**
 * Silence for longer than this means the worker is gone: another one takes over. Taken over too early, these steps lose
 * little.
 */
export const HEARTBEAT_TIMEOUT = '15s';

/** A dump that is taken over starts from the beginning: a worker that only held its breath should keep it. */
const DUMP_HEARTBEAT_TIMEOUT = '30s';

/**
 * How soon, and how often in all, a step goes on after its worker was lost. How often a step may fail by itself is counted
 * by the step, over all its attempts (activities/support/tries.ts), which says also how long it rests. The end after so
 * many attempts is for a step that kills every worker it meets.
 */
export const takenOver = {
  retry: { initialInterval: '1s', backoffCoefficient: 1.5, maximumInterval: '15s', maximumAttempts: 200 },
} as const;

/** The same for steps that go on trying for days, if the plan says so: every few minutes in the end. */
const patient = { retry: { ...takenOver.retry, maximumAttempts: 10_000 } } as const;

/**
 * Transfers have no useful time limit of their own: they are ended by silence (heartbeats) and by stalls noticed inside,
 * not by the clock.
 */
export const longRunning = {
  startToCloseTimeout: '7 days',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
} as const;

export const { preflight } = proxyActivities<BackupSteps>({
  ...takenOver,
  startToCloseTimeout: '5m',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
});

/** Steps on one copy that any worker can do. They have read nothing that could not be read again. */
export const { verifyChecksum, open } = proxyActivities<BackupSteps>({ ...patient, ...longRunning });

export const { publish } = proxyActivities<BackupSteps>({
  ...patient,
  startToCloseTimeout: '2m',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
});

/** Tried for a few seconds: a catalog that is away must not hold up a finished backup. */
export const { record } = proxyActivities<BackupSteps>({
  startToCloseTimeout: '20s',
  retry: { initialInterval: '1s', maximumAttempts: 3 },
});

/** Tried until the catalog is back. */
export const { record: recordPatiently } = proxyActivities<BackupSteps>({
  startToCloseTimeout: '1m',
  retry: { initialInterval: '10s', maximumInterval: '5m' },
});

/** What could not be taken back now is found by its missing manifest later. */
export const { discardCopy } = proxyActivities<BackupSteps>({
  ...takenOver,
  startToCloseTimeout: '5m',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
});

export const { findLock } = proxyActivities<LockSteps>({
  startToCloseTimeout: '1m',
  retry: { initialInterval: '1s', maximumInterval: '30s' },
});

/** However long the holder takes. */
export const { waitForLock } = proxyActivities<LockSteps>({
  ...longRunning,
  retry: { initialInterval: '1s', maximumInterval: '30s' },
});

/** The steps that read or write the spool, on the host that holds it. They wait for it no longer than the assignment says. */
export function spoolSteps({
  spoolQueue,
  takeoverAfter,
}: BackupAssignment): Pick<ActivityInterfaceFor<BackupSteps>, 'dump' | 'upload' | 'removeSpool'> {
  const onSpool = { ...takenOver, taskQueue: spoolQueue, scheduleToStartTimeout: takeoverAfter };
  const { dump } = proxyActivities<BackupSteps>({
    ...longRunning,
    ...onSpool,
    heartbeatTimeout: DUMP_HEARTBEAT_TIMEOUT,
  });
  const { upload } = proxyActivities<BackupSteps>({ ...longRunning, ...onSpool, ...patient });
  const { removeSpool } = proxyActivities<BackupSteps>({
    ...onSpool,
    startToCloseTimeout: '5m',
    heartbeatTimeout: HEARTBEAT_TIMEOUT,
    retry: { initialInterval: '2s', maximumAttempts: 3 },
  });
  return { dump, upload, removeSpool };
}
