import type { Client } from '@temporalio/client';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../../core/errors.ts';
import type { LiveRun } from '../../core/sweep/liveRuns.ts';
import { WRITES_MEMO, WRITING_WORKFLOWS } from '../../core/sweep/writers.ts';

const memoOfWriter = z.object({
  [WRITES_MEMO]: z.object({ source: z.string(), backup: z.string().optional() }),
});

/** Not only the running: a paused run goes on one day. */
const UNDER_WAY = `CloseTime IS NULL AND WorkflowType IN (${WRITING_WORKFLOWS.map((type) => `'${type}'`).join(', ')})`;

/**
 * Every run under way that may write to spools and backends, and what it says in its memo that it may write. One that
 * says nothing, because it has only just begun, comes without. A run on another task queue is another Holdfast's, whose
 * sources may have the same names: it counts for the very backup that it names and for nothing else. Rejects with
 * `TemporalUnreachable`.
 */
export async function liveRunsOf(client: Pick<Client, 'workflow'>, ownQueue: string): Promise<LiveRun[]> {
  const runs: LiveRun[] = [];
  try {
    for await (const { workflowId, memo, startTime, taskQueue } of client.workflow.list({ query: UNDER_WAY })) {
      const said = memoOfWriter.safeParse(memo);
      const writes = said.success ? said.data[WRITES_MEMO] : undefined;
      if (taskQueue === ownQueue) runs.push({ run: workflowId, startedAt: startTime, ...writes });
      else if (writes?.backup !== undefined) runs.push({ run: workflowId, ...writes });
    }
  } catch (error) {
    throw new HoldfastError(
      'TemporalUnreachable',
      `Temporal cannot say which runs are under way: ${messageOf(error)}`,
      {
        advice: 'Nothing is swept without its answer. Check the server and its visibility store.',
        cause: error,
      },
    );
  }
  return runs;
}
