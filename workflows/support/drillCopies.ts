import {
  ApplicationFailure,
  ChildWorkflowFailure,
  executeChild,
  isCancellation,
  ParentClosePolicy,
  workflowInfo,
} from '@temporalio/workflow';
import type { DrillResult } from '../../core/drill/run.ts';
import type { BackupLocation } from '../../core/repository/layout.ts';
import type { CopyVerdict } from '../../core/verification/run.ts';
import { drill } from '../drill.ts';
import { copyOutcomeOf } from './drillRun.ts';
import { problemOf } from './problem.ts';

/**
 * Verifies copies to the depth `restored`: a drill of each, one after the other, for they share a scratch database. Each
 * drill tells the catalog by itself; answers what it was not told yet.
 */
export async function drillCopies(
  location: BackupLocation,
  backends: readonly string[],
  take: (verdict: CopyVerdict) => void,
): Promise<string[]> {
  const untold: string[] = [];
  for (const backend of backends) {
    const begun = Date.now();
    const result = await drillCopy(location, backend);
    take(verdictOf(result, backend, Date.now() - begun));
    if (result.catalog === 'pending')
      untold.push(`The catalog cannot be reached; it is told of the drill on ${backend} as soon as it can.`);
  }
  return untold;
}

type Verdict = Pick<DrillResult, 'outcome' | 'problem' | 'bytes' | 'recovery' | 'catalog' | 'warnings'>;

/** What is wrong is the verification's to mend, for all copies at once. */
async function drillCopy({ source, backup }: BackupLocation, backend: string): Promise<Verdict> {
  try {
    return await executeChild(drill, {
      workflowId: `${workflowInfo().workflowId}-${backend}`,
      args: [{ source, backup, backend, heal: false }],
      // A drill that is cancelled removes what it has made; one that is terminated does not.
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      staticSummary: `Drill of ${backup} from ${backend}`,
    });
  } catch (error) {
    if (isCancellation(error)) throw error;
    const cause = error instanceof ChildWorkflowFailure ? error.cause : error;
    const [detail] = cause instanceof ApplicationFailure ? (cause.details ?? []) : [];
    if (isDrillResult(detail)) return detail;
    return { outcome: 'failed', problem: problemOf(cause), warnings: [] };
  }
}

function isDrillResult(detail: unknown): detail is DrillResult {
  return typeof detail === 'object' && detail !== null && 'leftBehind' in detail;
}

function verdictOf(result: Verdict, backend: string, duration: number): CopyVerdict {
  return {
    backend,
    depth: 'restored',
    outcome: copyOutcomeOf(result) ?? 'failed',
    problems: result.problem === undefined ? [] : [`${backend}: ${result.problem.message}`],
    bytes: result.bytes ?? 0,
    duration: result.recovery ?? duration,
    at: new Date().toISOString(),
  };
}
