import { proxyActivities, type ActivityInterfaceFor } from '@temporalio/workflow';
import type { RestoreSteps, RestoreTreeSteps } from '../../activities/restoreSteps.ts';
import type { PlanRequest, RestorePlan } from '../../core/restore/flow.ts';
import { HEARTBEAT_TIMEOUT, longRunning, takenOver } from './steps.ts';

/** How long a host that was restarted may be away. */
const HOST_PATIENCE = '30m' as const;

const short = { ...takenOver, startToCloseTimeout: '10m', heartbeatTimeout: HEARTBEAT_TIMEOUT } as const;

/** Looks, and changes nothing. Where it is told which host, that one's file trees are looked at. */
export function planRestore(request: PlanRequest, hostQueue?: string): Promise<RestorePlan> {
  const queue =
    hostQueue === undefined ? {} : ({ taskQueue: hostQueue, scheduleToStartTimeout: HOST_PATIENCE } as const);
  return proxyActivities<RestoreSteps>({ ...short, ...queue }).planRestore(request);
}

/** The steps that restore file trees, on the host that has them. */
export function treeSteps(hostQueue: string): ActivityInterfaceFor<RestoreTreeSteps> {
  const onHost = { taskQueue: hostQueue, scheduleToStartTimeout: HOST_PATIENCE } as const;
  const { restoreTree, compareTree } = proxyActivities<RestoreTreeSteps>({ ...takenOver, ...longRunning, ...onHost });
  const { placeTree, takeBackTree, dropTree } = proxyActivities<RestoreTreeSteps>({ ...short, ...onHost });
  return { restoreTree, compareTree, placeTree, takeBackTree, dropTree };
}

export const { restoreDatabase, reconcileDatabase, checkDatabase } = proxyActivities<RestoreSteps>({
  ...takenOver,
  ...longRunning,
});

/** What takes a moment and has to be done to its end. */
export const { createRoles, releaseDatabase, swapDatabases, undoSwap, dropUnfinished, dropDead } =
  proxyActivities<RestoreSteps>(short);
