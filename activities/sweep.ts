import type { Logger } from 'pino';
import { assignSweep } from '../core/sweep/assignSweep.ts';
import { claimFinder } from '../core/sweep/claims.ts';
import type { SweepListener } from '../core/sweep/report.ts';
import type { SweepBackendStep, SweepInput, SweepRules } from '../core/sweep/run.ts';
import { sweepBackend } from '../core/sweep/sweepBackend.ts';
import { sweepSpool } from '../core/sweep/sweepSpool.ts';
import type { Dependencies } from './dependencies.ts';
import type { StepContext } from './support/step.ts';

export const assignSweepStep =
  ({ configuration, spoolQueue }: Dependencies) =>
  async (_context: StepContext, input: SweepInput) =>
    assignSweep(configuration, spoolQueue, input);

export const sweepBackendStep =
  ({ configuration, backends, catalog, log }: Dependencies) =>
  async (context: StepContext, { backend: name, ...rules }: SweepBackendStep) => {
    const backendNames = Object.keys(configuration.backends);
    return sweepBackend({
      ...rules,
      ...loggedTo(log.child({ backend: name }), rules),
      backend: await backends.get(name),
      sources: Object.keys(configuration.sources),
      liveRuns: () => context.liveRuns(configuration.temporal.taskQueue),
      findClaim: claimFinder({ backend: name, backendNames, backends, catalog, signal: context.signal }),
      now: new Date(),
      signal: context.signal,
    });
  };

export const sweepSpoolStep =
  ({ configuration, spool, log }: Dependencies) =>
  (context: StepContext, rules: SweepRules) =>
    sweepSpool({
      ...rules,
      ...loggedTo(log.child({ spool: spool.path }), rules),
      spool,
      liveRuns: () => context.liveRuns(configuration.temporal.taskQueue),
      now: new Date(),
      signal: context.signal,
    });

/** The log has everything, however much it is. */
export function loggedTo(log: Logger, { dryRun }: SweepRules): SweepListener {
  return {
    onSwept: (remnant) =>
      log.info(remnant, dryRun ? 'a remnant of a dead run would be swept' : 'swept a remnant of a dead run'),
    onKept: (remnant) => log.info(remnant, 'a remnant is kept'),
    onProblem: (problem) => log.warn({ problem }, 'a remnant could not be swept'),
  };
}
