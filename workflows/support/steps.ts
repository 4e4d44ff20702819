import { ActivityCancellationType, proxyActivities, type ActivityInterfaceFor } from '@temporalio/workflow';
import type { BackupSteps } from '../../activities/backupSteps.ts';

/** Silence for longer than this means the worker is gone. Cancellation and takeover come as fast as heartbeats do. */
export const HEARTBEAT_TIMEOUT = '30s';

/**
 * How long each step may take and how often it is tried again. Transfers have no useful limit of their own: they are
 * ended by silence (heartbeats) and by stalls noticed inside, not by the clock.
 */
export const longRunning = {
  startToCloseTimeout: '7 days',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
} as const;

export const { preflight } = proxyActivities<BackupSteps>({
  startToCloseTimeout: '5m',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  // A restarting database is back in seconds; one that is down should be told of soon.
  retry: { initialInterval: '1s', backoffCoefficient: 3, maximumAttempts: 4 },
});

/** Steps on one copy that any worker can do. They have read nothing that could not be read again. */
export const { verifyChecksum, open } = proxyActivities<BackupSteps>({
  ...longRunning,
  retry: { initialInterval: '2s', maximumInterval: '1m', maximumAttempts: 4 },
});

export const { publish } = proxyActivities<BackupSteps>({
  startToCloseTimeout: '2m',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  retry: { initialInterval: '1s', maximumInterval: '30s', maximumAttempts: 6 },
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
  startToCloseTimeout: '5m',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  retry: { initialInterval: '2s', maximumAttempts: 3 },
});

/** The steps that read or write the spool, on the host that holds it. */
export function spoolSteps(
  taskQueue: string,
): Pick<ActivityInterfaceFor<BackupSteps>, 'dump' | 'upload' | 'removeSpool'> {
  const { dump } = proxyActivities<BackupSteps>({
    ...longRunning,
    taskQueue,
    retry: { initialInterval: '5s', maximumInterval: '2m', maximumAttempts: 3 },
  });
  const { upload } = proxyActivities<BackupSteps>({
    ...longRunning,
    taskQueue,
    retry: { initialInterval: '2s', maximumInterval: '1m', maximumAttempts: 5 },
  });
  const { removeSpool } = proxyActivities<BackupSteps>({
    taskQueue,
    startToCloseTimeout: '5m',
    heartbeatTimeout: HEARTBEAT_TIMEOUT,
    scheduleToStartTimeout: '10m',
    retry: { initialInterval: '2s', maximumAttempts: 3 },
  });
  return { dump, upload, removeSpool };
}
