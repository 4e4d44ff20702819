import { CancellationScope, ParentClosePolicy, startChild, workflowInfo } from '@temporalio/workflow';
import type { BackupAssignment, BackupResult, BackupStep, RecordedRun } from '../../core/backup/run.ts';
import { recordBackup } from '../recordBackup.ts';
import { resultOf, type BackupRun } from './backupRun.ts';
import { record } from './steps.ts';

/** A catalog that is away does not take back a published backup: it is told later, by a run of its own. */
export async function recordResult(run: BackupRun): Promise<BackupResult> {
  return CancellationScope.nonCancellable(async () => {
    run.phase = 'record';
    const result = resultOf(run, Date.now());
    // What was misspelt is no backup that failed.
    if (result.problem?.type === 'InvalidInput') return result;
    const { workflowId, runId } = workflowInfo();
    const recorded: RecordedRun = {
      result,
      ...(run.assignment && { step: stepOf(run, run.assignment) }),
      ...(run.sealed && { sealed: run.sealed }),
      workflowId,
      runId,
    };
    try {
      await record(recorded);
      run.phase = 'done';
      return result;
    } catch {
      // The reason stands in the history of the failed step; the new run goes on trying.
      await startChild(recordBackup, {
        args: [recorded],
        workflowId: `record-${run.id}`,
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: `Catalog entry of backup ${run.id} of ${run.source}`,
      });
      run.phase = 'done';
      return { ...result, catalog: 'pending' };
    }
  });
}

export function stepOf(run: BackupRun, assignment: BackupAssignment): BackupStep {
  return { id: run.id, startedAt: run.startedAt.toISOString(), assignment };
}
