import { formatBytes } from '../format.ts';
import type { CheckableConfiguration, Findings } from './checkable.ts';

/**
 * Whether the spool's limit lets the dump and the uploads go on side by side. What a part holds cannot be sent before it is
 * a full segment, and its first segment not before the second has begun; `jobs` parts of the database and a tree are
 * written at once. With less room than that, the dump would wait for uploads that wait for the dump.
 */
export function checkSpoolLimit({ spool, plans }: CheckableConfiguration): Partial<Findings> {
  if (spool === undefined) return {};
  const { limit, segmentSize } = spool;
  const path = ['spool', 'limit'];
  const tooSmall = (segments: number, why: string) => ({
    errors: [
      {
        path,
        message: `expected at least ${formatBytes(segments * segmentSize)}, ${segments} segments of ${formatBytes(segmentSize)}${why}`,
      },
    ],
  });
  const [name, widest] = Object.entries(plans).toSorted(([, left], [, right]) => right.jobs - left.jobs)[0] ?? [];
  if (widest === undefined) return limit < 2 * segmentSize ? tooSmall(2, '') : {};
  if (limit >= segmentsNeeded(widest.jobs) * segmentSize) return {};
  return tooSmall(segmentsNeeded(widest.jobs), `, for plan ${name} with jobs: ${widest.jobs}`);
}

function segmentsNeeded(jobs: number): number {
  return 2 * (jobs + 1);
}
