import type { Logger } from 'pino';
import { messageOf } from '../../core/errors.ts';
import type { StepContext } from './step.ts';

/** Milliseconds before the first report, and by which share of a step's age they grow rarer: each costs a few events. */
const FIRST_REPORT = 1_000;
const GROWTH = 0.3;

/**
 * Tells the workflow by a signal how far a step is: at once when its `state` changes, otherwise ever more rarely. A report
 * that is lost costs nothing: the next one says more.
 */
export function createTeller(
  context: StepContext,
  signal: string,
  log: Logger,
): (report: { readonly state: string }) => void {
  const begun = Date.now();
  let due = begun + FIRST_REPORT;
  let state: string | undefined;
  return (report) => {
    const now = Date.now();
    if (now < due && report.state === state) return;
    state = report.state;
    due = now + Math.max(FIRST_REPORT, (now - begun) * GROWTH);
    context.signalWorkflow(signal, report).catch((error: unknown) => {
      log.debug({ workflowId: context.workflowId, error: messageOf(error) }, 'progress was not reported');
    });
  };
}
