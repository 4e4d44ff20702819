import { unknownName } from '../config/open.ts';
import type { Configuration } from '../config/schema.ts';
import type { SweepAssignment, SweepInput } from './run.ts';

/** What a sweep's input means under this configuration. Throws `InvalidInput` for an unknown backend. */
export function assignSweep(configuration: Configuration, spoolQueue: string, input: SweepInput): SweepAssignment {
  const known = Object.keys(configuration.backends);
  for (const name of input.backends ?? []) if (!known.includes(name)) throw unknownName('backend', name, known);
  return {
    backends: input.backends ?? known,
    minimumAge: input.olderThan ?? configuration.maintenance.sweepAfter,
    dryRun: input.dryRun ?? false,
    spoolQueue,
  };
}
