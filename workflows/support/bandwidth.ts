import { defineQuery, defineUpdate, setHandler } from '@temporalio/workflow';
import {
  BANDWIDTH_CHANGE_EXAMPLE,
  BANDWIDTH_QUERY,
  bandwidthChange,
  type BandwidthChange,
  type BandwidthLimits,
} from '../../core/backup/bandwidth.ts';
import { copiesIn, type BackupRun } from './backupRun.ts';
import { invalidInput, parseInput } from './input.ts';

export const setBandwidthUpdate = defineUpdate<BandwidthLimits, [BandwidthChange]>('setBandwidth');
export const bandwidthQuery = defineQuery<BandwidthLimits>(BANDWIDTH_QUERY);

/**
 * Lets an operator change how fast a backend is sent to while the run is at it, and for as long as it is. Running uploads
 * ask for it now and then.
 */
export function allowBandwidthChanges(run: BackupRun, onChange: () => void): void {
  setHandler(bandwidthQuery, () => run.bandwidth, { description: 'Limits set for this run, in bytes a second.' });
  setHandler(
    setBandwidthUpdate,
    (change) => {
      const { backend, bytesPerSecond } = read(change);
      run.bandwidth[backend] = bytesPerSecond;
      onChange();
      return run.bandwidth;
    },
    {
      validator: (change) => refuseUnknown(run, read(change).backend),
      description: `How fast a backend is sent to while this run uploads: ${BANDWIDTH_CHANGE_EXAMPLE}; null for no limit.`,
    },
  );
}

function read(change: unknown) {
  return parseInput(bandwidthChange, change, BANDWIDTH_CHANGE_EXAMPLE);
}

function refuseUnknown(run: BackupRun, backend: string): void {
  const uploading = copiesIn(run, 'waiting', 'uploading').map((copy) => copy.backend);
  if (uploading.includes(backend)) return;
  const there = uploading.length === 0 ? 'to no backend now' : `to ${uploading.join(', ')}`;
  throw invalidInput(
    `Nothing is being sent to ${backend}; this run sends ${there}`,
    undefined,
    BANDWIDTH_CHANGE_EXAMPLE,
  );
}
