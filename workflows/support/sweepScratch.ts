import { isCancellation, proxyActivities } from '@temporalio/workflow';
import type { DrillSteps } from '../../activities/drillSteps.ts';
import type { RestoreSteps } from '../../activities/restoreSteps.ts';
import type { KeptRemnant, Remnant, ScratchRemnants, SweepReport, SweepRules } from '../../core/sweep/run.ts';
import { problemOf } from './problem.ts';
import { withSourceLock } from './sourceLock.ts';
import { HEARTBEAT_TIMEOUT, takenOver } from './steps.ts';

/**
 * Removes what drills left that were terminated together with their worker: scratch databases, and scratch directories of
 * the host whose queue it is.
 */
export function sweepDrills(rules: SweepRules, hostQueue: string): Promise<SweepReport> {
  const steps = proxyActivities<DrillSteps>(onHost(hostQueue));
  return sweepUnderLocks(rules, {
    place: 'drills',
    scope: 'drill',
    find: () => steps.findDrillRemnants(),
    remove: async ({ source, databases, directories }) => {
      if (databases.length > 0) await steps.removeDrillDatabase(source);
      if (directories.length > 0) await steps.removeDrillTrees(source);
    },
  });
}

/** The same for restores: databases that were never finished, and file trees that were never put in place. */
export function sweepRestores(rules: SweepRules, hostQueue: string): Promise<SweepReport> {
  const steps = proxyActivities<RestoreSteps>(onHost(hostQueue));
  return sweepUnderLocks(rules, {
    place: 'restores',
    find: () => steps.findRestoreRemnants(),
    remove: ({ source }) => steps.removeRestoreRemnants(source),
  });
}

function onHost(taskQueue: string) {
  return {
    ...takenOver,
    taskQueue,
    scheduleToStartTimeout: '10m',
    startToCloseTimeout: '10m',
    heartbeatTimeout: HEARTBEAT_TIMEOUT,
  } as const;
}

const ONE_THING = { objects: 1, uploads: 0, bytes: 0 } as const;

type Remains = ScratchRemnants['remnants'][number];

interface ScratchPlace {
  readonly place: string;
  /** Of the lock: see SourceLockOptions. */
  readonly scope?: string;
  readonly find: () => Promise<ScratchRemnants>;
  readonly remove: (remains: Remains) => Promise<void>;
}

/** Whoever has the lock of a source's runs knows that none of them runs, so that age does not matter. */
async function sweepUnderLocks({ dryRun, listed }: SweepRules, where: ScratchPlace): Promise<SweepReport> {
  const { place, scope, find, remove } = where;
  const { remnants, kept: left = [], problems: found } = await find();
  const swept: Remnant[] = [];
  const kept: KeptRemnant[] = left.map((each) => ({ ...each, ...ONE_THING }));
  const problems = [...found];
  for (const remains of remnants) {
    const { source, databases, directories } = remains;
    const entries = [...databases, ...directories].map((folder) => ({ folder, ...ONE_THING }));
    const lock = {
      purpose: 'sweep',
      whenBusy: 'refuse',
      onWaiting: () => undefined,
      ...(scope !== undefined && { scope }),
    } as const;
    try {
      await withSourceLock(source, lock, async () => {
        if (!dryRun) await remove(remains);
      });
      swept.push(...entries);
    } catch (error) {
      if (isCancellation(error)) throw error;
      const { type, message } = problemOf(error);
      if (type === 'SourceBusy') kept.push(...entries.map((entry) => ({ ...entry, why: message })));
      else problems.push(`${place} of ${source}: ${message}`);
    }
  }
  return {
    place,
    swept: swept.slice(0, listed),
    kept: kept.slice(0, listed),
    foreign: 0,
    problems: problems.slice(0, listed),
    unlisted: [swept, kept, problems].reduce((sum, list) => sum + Math.max(0, list.length - listed), 0),
  };
}
