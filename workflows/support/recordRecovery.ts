import { ParentClosePolicy, proxyActivities, startChild } from '@temporalio/workflow';
import type { DrillSteps } from '../../activities/drillSteps.ts';
import type { RestoreSteps } from '../../activities/restoreSteps.ts';
import type { DrillNote } from '../../core/drill/run.ts';
import { recordRecovery } from '../recordRecovery.ts';

/** Tried for a few seconds: a catalog that is away must hold up neither who waits for the run nor the next one. */
const { recordDrill, recordRestore } = proxyActivities<
  Pick<DrillSteps, 'recordDrill'> & Pick<RestoreSteps, 'recordRestore'>
>({
  startToCloseTimeout: '20s',
  retry: { initialInterval: '1s', maximumAttempts: 3 },
});

/**
 * Notes a run in the catalog. Where that is away, a run of its own goes on trying and this answers `pending`. To be called
 * outside of what can be cancelled.
 */
export async function recordNowOrLater(note: DrillNote): Promise<'noted' | 'pending'> {
  const { kind, source, runId } = note.record;
  try {
    await (kind === 'drill' ? recordDrill(note) : recordRestore(note.record));
    return 'noted';
  } catch {
    // The reason stands in the history of the failed step; the new run goes on trying.
    await startChild(recordRecovery, {
      args: [note],
      workflowId: `record-${kind}-${runId}`,
      parentClosePolicy: ParentClosePolicy.ABANDON,
      staticSummary: `Catalog entry of a ${kind} of ${source}`,
    });
    return 'pending';
  }
}
