import { ApplicationFailure, Context } from '@temporalio/activity';
import { HoldfastError, messageOf } from '../../core/errors.ts';

/** What a step gets from Temporal, in words of its own: core knows nothing of Temporal. */
export interface StepContext {
  /** Aborted when the step is cancelled, paused, reset, timed out, or its worker shuts down. */
  readonly signal: AbortSignal;
  /** Notes how far the step is; sent with the next heartbeat. Cheap: call it as often as you like. */
  checkpoint(details: unknown): void;
  readonly workflowId: string;
  readonly runId: string;
  /** Tells the workflow something by signal. */
  signalWorkflow(name: string, payload: unknown): Promise<void>;
  /** When the workflows of a type that run now were begun. One that has just begun may be missing for some seconds. */
  runningSince(workflowType: string): Promise<Date[]>;
}

const HEARTBEAT_INTERVAL = 2_000;

/**
 * Makes an activity of a step: heartbeats from a timer with the latest checkpoint, the reason of a cancellation kept,
 * and Holdfast's errors turned into failures whose type and retryability Temporal understands.
 */
export function asActivity<Arguments extends unknown[], Result>(
  step: (context: StepContext, ...args: Arguments) => Promise<Result>,
): (...args: Arguments) => Promise<Result> {
  return async (...args) => {
    // Taken now: timers and listeners run outside the activity's own context.
    const activity = Context.current();
    let details: unknown;
    const heartbeats = setInterval(() => activity.heartbeat(details), HEARTBEAT_INTERVAL);
    // The first one also brings a cancellation that came before the start.
    activity.heartbeat(details);
    try {
      return await step(
        contextOf(activity, (checkpoint) => (details = checkpoint)),
        ...args,
      );
    } catch (error) {
      if (activity.cancellationSignal.aborted) throw activity.cancellationSignal.reason;
      throw toFailure(error);
    } finally {
      clearInterval(heartbeats);
    }
  };
}

function contextOf(activity: Context, checkpoint: (details: unknown) => void): StepContext {
  const { workflowExecution } = activity.info;
  if (workflowExecution === undefined) throw new TypeError('every step belongs to a workflow');
  const { workflowId, runId } = workflowExecution;
  return {
    signal: activity.cancellationSignal,
    checkpoint,
    workflowId,
    runId,
    signalWorkflow: (name, payload) => activity.client.workflow.getHandle(workflowId, runId).signal(name, payload),
    runningSince: async (workflowType) => {
      const query = `WorkflowType = '${workflowType}' AND ExecutionStatus = 'Running'`;
      const running = await Array.fromAsync(activity.client.workflow.list({ query }));
      return running.map(({ startTime }) => startTime);
    },
  };
}

/** A failure that says what happened and, as its first detail, what to do. An unknown error keeps its stack as cause. */
function toFailure(error: unknown): Error {
  if (!(error instanceof HoldfastError)) {
    const cause = error instanceof Error ? error : undefined;
    return ApplicationFailure.create({ message: messageOf(error), type: 'Unexpected', ...(cause && { cause }) });
  }
  return ApplicationFailure.create({
    message: error.message,
    type: error.type,
    nonRetryable: !error.retryable,
    details: error.advice === undefined ? [] : [{ advice: error.advice }],
    ...(error.cause instanceof Error && { cause: error.cause }),
  });
}
