import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { getExternalWorkflowHandle, ParentClosePolicy, startChild, workflowInfo } from '@temporalio/workflow';
import { healWorkflowId, type HealInput } from '../../core/heal/run.ts';

/** One that ends between being found and being told is started anew. */
const ATTEMPTS = 5;

/**
 * Has a source healed: starts its heal, which outlives this run, or tells the one that runs. Gives its workflow id. The
 * heal itself is named by type, because it would otherwise import whoever starts it.
 */
export async function startHeal(input: HealInput): Promise<string> {
  const workflowId = healWorkflowId(workflowInfo().taskQueue, input.source);
  for (let attempt = 1; ; attempt += 1) {
    try {
      await startChild('heal', {
        args: [input],
        workflowId,
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: `Heal of ${input.source}`,
      });
      return workflowId;
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
    try {
      await getExternalWorkflowHandle(workflowId).signal('wake', input);
      return workflowId;
    } catch (error) {
      if (attempt >= ATTEMPTS) throw error;
    }
  }
}
