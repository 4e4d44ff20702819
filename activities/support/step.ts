import { ApplicationFailure, Context } from '@temporalio/activity';
import { ApplicationFailureCategory } from '@temporalio/common';
import { HoldfastError, messageOf } from '../../core/errors.ts';
import { explained } from '../../core/systemErrors.ts';
import { formatDuration } from '../../core/format.ts';
import type { LiveRun } from '../../core/sweep/liveRuns.ts';
import { liveRunsOf } from './liveRuns.ts';
import { tryCount, type NextTry, type Tries } from './tries.ts';

/** What a step gets from Temporal, in words of its own: core knows nothing of Temporal. */
export interface StepContext {
  /** Aborted when the step is cancelled, paused, reset, timed out, or has to make way because its worker stops. */
  readonly signal: AbortSignal;
  /** Notes how far the step is; sent with the next heartbeat. Cheap: call it as often as you like. */
  checkpoint(details: unknown): void;
  /** Says that the step got on since it last failed: its patience begins anew. */
  gotOn(): void;
  readonly workflowId: string;
  readonly runId: string;
  /** Tells the workflow something by signal. */
  signalWorkflow(name: string, payload: unknown): Promise<void>;
  /** Asks the workflow by query, which leaves no trace in its history. */
  queryWorkflow(name: string): Promise<unknown>;
  /** Which runs are under way that may write, seen from the Holdfast of this task queue. Rejects with `TemporalUnreachable`. */
  liveRuns(taskQueue: string): Promise<readonly LiveRun[]>;
  /** Starts a workflow, or, where one of that id runs, tells that one: the input goes to it by the signal, too. */
  startOrTell(start: StartOrTell): Promise<void>;
  /** When the workflows of a type that run now were begun. One that has just begun may be missing for some seconds. */
  runningSince(workflowType: string): Promise<Date[]>;
}

export interface StartOrTell {
  readonly workflowType: string;
  readonly workflowId: string;
  readonly taskQueue: string;
  readonly input: unknown;
  readonly signal: string;
  /** For the Web UI. */
  readonly summary: string;
}

export interface StepOptions<Arguments extends unknown[] = never[]> {
  /** Unset: every attempt counts, and the workflow says how many there may be. */
  readonly tries?: (...args: Arguments) => Tries;
  /** Told when the step failed for the last time. */
  readonly onGivenUp?: (...args: Arguments) => Promise<void>;
  /** Aborted when the worker is told to stop. */
  readonly stopping: AbortSignal;
  /**
   * `atOnce`: a stopping worker ends the step, and another one goes on. Unset: it may finish while the worker waits for
   * it, which is right for what takes a moment.
   */
  readonly handOver?: 'atOnce';
}

const HEARTBEAT_INTERVAL = 2_000;
/** Share of the time Temporal gives a step after which it is ended from within, so that it counts as a try. */
const OWN_TIME_LIMIT = 0.9;
/** Milliseconds. Whoever is free takes over at once. */
const HAND_OVER_PAUSE = 100;

/**
 * Makes an activity of a step: heartbeats from a timer with the latest checkpoint, the reason of a cancellation kept,
 * and Holdfast's errors turned into failures whose type and retryability Temporal understands.
 */
export function asActivity<Arguments extends unknown[], Result>(
  step: (context: StepContext, ...args: Arguments) => Promise<Result>,
  options: StepOptions<Arguments>,
): (...args: Arguments) => Promise<Result> {
  const { tries, stopping, handOver } = options;
  return async (...args) => {
    // Taken now: timers and listeners run outside the activity's own context.
    const activity = Context.current();
    const count = tries && tryCount(activity, tries(...args));
    let details: unknown;
    const heartbeat = () => (count ? count.heartbeat(details) : activity.heartbeat(details));
    const heartbeats = setInterval(heartbeat, HEARTBEAT_INTERVAL);
    const overdue = new AbortController();
    const timeLimit = activity.info.startToCloseTimeoutMs * OWN_TIME_LIMIT;
    const clock = setTimeout(() => overdue.abort(), timeLimit);
    const ends = [activity.cancellationSignal, overdue.signal, ...(handOver ? [stopping] : [])];
    // The first one also brings a cancellation that came before the start.
    heartbeat();
    try {
      const context = contextOf(activity, AbortSignal.any(ends), {
        checkpoint: (checkpoint) => (details = checkpoint),
        gotOn: () => count?.gotOn(),
      });
      return await step(context, ...args);
    } catch (error) {
      const shutDown = activity.cancellationDetails?.workerShutdown === true;
      if (activity.cancellationSignal.aborted && !shutDown) throw activity.cancellationSignal.reason;
      // What fails while everything around it is being stopped is not to blame.
      if (stopping.aborted || shutDown) throw handedOver();
      const reason = overdue.signal.aborted ? tookTooLong(activity, timeLimit) : error;
      const failure = toFailure(reason, count?.failed(details, retryAfterOf(reason)));
      if (failure.nonRetryable) await options.onGivenUp?.(...args);
      throw failure;
    } finally {
      clearInterval(heartbeats);
      clearTimeout(clock);
    }
  };
}

function contextOf(
  activity: Context,
  signal: AbortSignal,
  notes: Pick<StepContext, 'checkpoint' | 'gotOn'>,
): StepContext {
  const { workflowExecution } = activity.info;
  if (workflowExecution === undefined) throw new TypeError('every step belongs to a workflow');
  const { workflowId, runId } = workflowExecution;
  const workflow = () => activity.client.workflow.getHandle(workflowId, runId);
  return {
    ...notes,
    signal,
    workflowId,
    runId,
    signalWorkflow: (name, payload) => workflow().signal(name, payload),
    queryWorkflow: (name) => workflow().query(name),
    liveRuns: (taskQueue) => liveRunsOf(activity.client, taskQueue),
    startOrTell: async ({ workflowType, workflowId: id, taskQueue, input, signal: name, summary }) => {
      const how = {
        workflowId: id,
        taskQueue,
        args: [input],
        signal: name,
        signalArgs: [input],
        staticSummary: summary,
      };
      await activity.client.workflow.signalWithStart(workflowType, how);
    },
    runningSince: async (workflowType) => {
      const query = `WorkflowType = '${workflowType}' AND ExecutionStatus = 'Running'`;
      const running = await Array.fromAsync(activity.client.workflow.list({ query }));
      return running.map(({ startTime }) => startTime);
    },
  };
}

function handedOver(): ApplicationFailure {
  return ApplicationFailure.create({
    message: 'The worker was told to stop; the next one goes on with this.',
    type: 'WorkerStopped',
    nextRetryDelay: HAND_OVER_PAUSE,
    category: ApplicationFailureCategory.BENIGN,
  });
}

function tookTooLong({ info }: Context, limit: number): HoldfastError {
  return new HoldfastError('Stalled', `The step ${info.activityType} was not through after ${formatDuration(limit)}.`, {
    advice: 'Look at what it works with: something accepts requests and does not answer them.',
  });
}

/** A failure that says what happened and, as its first detail, what to do. An unknown error keeps its stack as cause. */
function toFailure(thrown: unknown, outcome: NextTry | undefined): ApplicationFailure {
  const error = explained(thrown);
  const { failedFor, ...next }: Partial<NextTry> = outcome ?? {};
  if (!(error instanceof HoldfastError)) {
    const cause = error instanceof Error ? error : undefined;
    return ApplicationFailure.create({
      message: messageOf(error),
      type: 'Unexpected',
      ...next,
      ...(cause && { cause }),
    });
  }
  return ApplicationFailure.create({
    message: error.retryable ? withPatience(error.message, failedFor) : error.message,
    type: error.type,
    ...next,
    nonRetryable: !error.retryable || next.nonRetryable === true,
    details: error.advice === undefined ? [] : [{ advice: error.advice }],
    ...(error.cause instanceof Error && { cause: error.cause }),
  });
}

function withPatience(message: string, failedFor: number | undefined): string {
  return failedFor === undefined ? message : `${message} (given up after it failed for ${formatDuration(failedFor)})`;
}

function retryAfterOf(error: unknown): number | undefined {
  return error instanceof HoldfastError ? error.retryAfter : undefined;
}
