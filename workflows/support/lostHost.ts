import { ApplicationFailure } from '@temporalio/workflow';
import type { BackupStep } from '../../core/backup/run.ts';
import { formatDuration } from '../../core/format.ts';
import { copiesIn, type BackupRun } from './backupRun.ts';
import { problemOf } from './problem.ts';

/** Whether a step found nobody at the spool it needs. */
export function isHostGone(error: unknown): boolean {
  return problemOf(error).type === 'HostGone';
}

/** Whether a copy could not be made because its bytes are on a host that is gone. */
export function lostTheHost(run: BackupRun): boolean {
  return copiesIn(run, 'failed').some(({ problem }) => problem?.type === 'HostGone');
}

/** No copy stands, and what one could be made of is gone with its host. */
export function hostGone(): ApplicationFailure {
  return ApplicationFailure.nonRetryable('The host that holds the sealed backup is gone.', 'HostGone');
}

/** For the result: which host, for how long, and what was done about it. */
export function describeLostHost({ assignment }: BackupStep, then: string): string {
  const { host, takeoverAfter } = assignment;
  return `No worker was heard of at the spool of ${host} for ${formatDuration(takeoverAfter)}: ${then}. What that spool holds of this run is removed when a worker is back there.`;
}
