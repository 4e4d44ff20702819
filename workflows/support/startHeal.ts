import { proxyActivities } from '@temporalio/workflow';
import type { HealSteps } from '../../activities/healSteps.ts';
import { HEARTBEAT_TIMEOUT, takenOver } from './steps.ts';

/** Has a source healed, by a run that outlives this one. */
export const { startHeal } = proxyActivities<HealSteps>({
  ...takenOver,
  startToCloseTimeout: '1m',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
});
