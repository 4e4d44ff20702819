import { proxyActivities } from '@temporalio/workflow';
import type { RestoreSteps } from '../../activities/restoreSteps.ts';
import { HEARTBEAT_TIMEOUT, longRunning, takenOver } from './steps.ts';

/** Looks, and changes nothing. */
export const { planRestore } = proxyActivities<RestoreSteps>({
  ...takenOver,
  startToCloseTimeout: '10m',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
});

export const { restoreDatabase, reconcileDatabase, checkDatabase } = proxyActivities<RestoreSteps>({
  ...takenOver,
  ...longRunning,
});

/** What takes a moment and has to be done to its end. */
export const { createRoles, releaseDatabase, swapDatabases, undoSwap, dropUnfinished, dropDead } =
  proxyActivities<RestoreSteps>({ ...takenOver, startToCloseTimeout: '10m', heartbeatTimeout: HEARTBEAT_TIMEOUT });

/** Tried for a few seconds: a catalog that is away must not hold up what is restored. */
export const { recordRestore } = proxyActivities<RestoreSteps>({
  startToCloseTimeout: '20s',
  retry: { initialInterval: '1s', maximumAttempts: 3 },
});
