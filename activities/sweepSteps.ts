import type { SweepAssignment, SweepBackendStep, SweepInput, SweepReport, SweepRules } from '../core/sweep/run.ts';

/** The steps of a sweep, by the names under which Temporal knows them. */
export interface SweepSteps {
  /** Reads the configuration: what is to be swept, and by which rules. */
  assignSweep(input: SweepInput): Promise<SweepAssignment>;
  /** Removes what dead runs left on one backend. */
  sweepBackend(step: SweepBackendStep): Promise<SweepReport>;
  /** Removes what dead runs left in this host's spool. Runs on the spool's host. */
  sweepSpool(rules: SweepRules): Promise<SweepReport>;
}
