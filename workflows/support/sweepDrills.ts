import { isCancellation, proxyActivities } from '@temporalio/workflow';
import type { DrillSteps } from '../../activities/drillSteps.ts';
import type { KeptRemnant, Remnant, SweepReport, SweepRules } from '../../core/sweep/run.ts';
import { problemOf } from './problem.ts';
import { withSourceLock } from './sourceLock.ts';
import { HEARTBEAT_TIMEOUT, takenOver } from './steps.ts';

/**
 * Removes what drills left that were terminated together with their worker: scratch databases, and scratch directories of
 * the host whose queue it is. Whoever has the lock of a source's drills knows that none of them runs, so that age does
 * not matter.
 */
export async function sweepDrills({ dryRun, listed }: SweepRules, hostQueue: string): Promise<SweepReport> {
  const { findDrillRemnants, removeDrillDatabase, removeDrillTrees } = proxyActivities<DrillSteps>({
    ...takenOver,
    taskQueue: hostQueue,
    scheduleToStartTimeout: '10m',
    startToCloseTimeout: '10m',
    heartbeatTimeout: HEARTBEAT_TIMEOUT,
  });
  const { remnants, problems: found } = await findDrillRemnants();
  const swept: Remnant[] = [];
  const kept: KeptRemnant[] = [];
  const problems = [...found];
  for (const { source, databases, directories } of remnants) {
    const entries = [...databases, ...directories].map((folder) => ({ folder, objects: 1, uploads: 0, bytes: 0 }));
    const lock = { purpose: 'sweep', scope: 'drill', whenBusy: 'refuse', onWaiting: () => undefined } as const;
    try {
      await withSourceLock(source, lock, async () => {
        if (!dryRun && databases.length > 0) await removeDrillDatabase(source);
        if (!dryRun && directories.length > 0) await removeDrillTrees(source);
      });
      swept.push(...entries);
    } catch (error) {
      if (isCancellation(error)) throw error;
      const { type, message } = problemOf(error);
      if (type === 'SourceBusy') kept.push(...entries.map((entry) => ({ ...entry, why: message })));
      else problems.push(`drills of ${source}: ${message}`);
    }
  }
  return {
    place: 'drills',
    swept: swept.slice(0, listed),
    kept: kept.slice(0, listed),
    foreign: 0,
    problems: problems.slice(0, listed),
    unlisted: [swept, kept, problems].reduce((sum, list) => sum + Math.max(0, list.length - listed), 0),
  };
}
