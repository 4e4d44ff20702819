import type { Logger } from 'pino';
import { BANDWIDTH_QUERY, bandwidthLimits } from '../../core/backup/bandwidth.ts';
import { messageOf } from '../../core/errors.ts';
import type { Backend } from '../../core/storage/backend.ts';
import type { StepContext } from './step.ts';

/** Milliseconds in which a change is felt, at most. */
const INTERVAL = 3_000;

/**
 * Keeps a backend's pace at what was asked of the run, until the returned function is called. The run is asked by query:
 * that leaves nothing in its history, however long the upload takes.
 */
export function followBandwidth(context: StepContext, { name, pace }: Backend, log: Logger): () => void {
  let asking = false;
  let over = false;
  const ask = async () => {
    if (asking) return;
    asking = true;
    try {
      const limit = bandwidthLimits.parse(await context.queryWorkflow(BANDWIDTH_QUERY))[name];
      if (over) return;
      if (limit === undefined) pace.release(context.runId);
      else pace.override(context.runId, limit);
    } catch (error) {
      // The limit stays what it was until the run can be asked again.
      log.debug({ workflowId: context.workflowId, error: messageOf(error) }, 'the run was not asked for its bandwidth');
    } finally {
      asking = false;
    }
  };
  void ask();
  const timer = setInterval(() => void ask(), INTERVAL);
  return () => {
    over = true;
    clearInterval(timer);
    pace.release(context.runId);
  };
}
