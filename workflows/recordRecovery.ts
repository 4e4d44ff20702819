import { proxyActivities } from '@temporalio/workflow';
import type { DrillSteps } from '../activities/drillSteps.ts';
import type { RestoreSteps } from '../activities/restoreSteps.ts';
import type { DrillNote } from '../core/drill/run.ts';

/** Tried until the catalog is back, and knows the backup that was drilled. A month later nobody asks any more. */
const { recordDrill, recordRestore } = proxyActivities<
  Pick<DrillSteps, 'recordDrill'> & Pick<RestoreSteps, 'recordRestore'>
>({
  startToCloseTimeout: '1m',
  scheduleToCloseTimeout: '30 days',
  retry: { initialInterval: '10s', maximumInterval: '5m' },
});

/**
 * Notes a finished drill or restore in a catalog that could not be told when it ended, as soon as it can be: how long
 * recovery took, and what a drill says of the copy it tried.
 */
export async function recordRecovery(note: DrillNote): Promise<void> {
  await (note.record.kind === 'drill' ? recordDrill(note) : recordRestore(note.record));
}
