import { unknownName } from '../config/open.ts';
import type { Configuration } from '../config/schema.ts';
import type { SweepAssignment, SweepInput } from './run.ts';

/** Over all places: the result stays well under 100 KB, however much there is to tell. */
const MOST_LISTED = 160;

/** What a sweep's input means under this configuration. Throws `InvalidInput` for an unknown backend. */
export function assignSweep(configuration: Configuration, spoolQueue: string, input: SweepInput): SweepAssignment {
  const known = Object.keys(configuration.backends);
  for (const name of input.backends ?? []) if (!known.includes(name)) throw unknownName('backend', name, known);
  const backends = input.backends ?? known;
  return {
    backends,
    minimumAge: input.olderThan ?? configuration.maintenance.sweepAfter,
    dryRun: input.dryRun ?? false,
    // Each backend, the spool, and what drills and restores left.
    listed: Math.floor(MOST_LISTED / (backends.length + 3)),
    spoolQueue,
  };
}
