import { Client, Connection, WorkflowFailedError, WorkflowUpdateFailedError } from '@temporalio/client';
import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  TerminatedFailure,
  TimeoutFailure,
} from '@temporalio/common';
import { z } from 'zod';
import type { Configuration } from '../core/config/schema.ts';
import { ERROR_TYPES, HoldfastError, messageOf, type ErrorType } from '../core/errors.ts';
import { temporalTarget, webUiLink, type TemporalTarget } from '../worker/connection.ts';

export interface TemporalClient {
  readonly client: Client;
  readonly target: TemporalTarget;
  /** Where the run can be looked at, if a Web UI answers there. */
  webUiLink(workflowId: string, runId: string): Promise<string | undefined>;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT = '5s';
/** Milliseconds. */
const UI_TIMEOUT = 500;

/** Connects the command line to Temporal. Rejects with `TemporalUnreachable`. */
export async function connectTemporal(configuration: Configuration): Promise<TemporalClient> {
  const target = await temporalTarget(configuration);
  try {
    const connection = await Connection.connect({ ...target.options, connectTimeout: CONNECT_TIMEOUT });
    return {
      client: new Client({ connection, namespace: target.namespace }),
      target,
      webUiLink: async (workflowId, runId) => {
        const link = webUiLink(configuration, target, workflowId, runId);
        // An address from the configuration is somebody's word; a guessed one may be anything or nothing.
        return link === undefined || configuration.temporal.uiUrl || (await answers(link)) ? link : undefined;
      },
      close: () => connection.close(),
    };
  } catch (error) {
    throw new HoldfastError(
      'TemporalUnreachable',
      `Temporal's server at ${target.address} cannot be reached: ${messageOf(error)}`,
      {
        advice: 'Start it, or correct temporal.address. `holdfast worker --embedded` brings a server of its own.',
        cause: error,
      },
    );
  }
}

async function answers(address: string): Promise<boolean> {
  return fetch(address, { signal: AbortSignal.timeout(UI_TIMEOUT) }).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** Warns when nobody would do the work: a run that is started then only waits. */
export async function hasWorker({ client, target }: TemporalClient, taskQueue: string): Promise<boolean> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: target.namespace,
    taskQueue: { name: taskQueue },
  });
  return (pollers ?? []).length > 0;
}

export interface RunFailure {
  readonly error: HoldfastError;
  /** The failure's first detail, where it has one: often the result that the run came to. */
  readonly detail: unknown;
}

/** What a failed run says, as an error of the command line. */
export function failureOfRun(error: unknown, workflowId: string): RunFailure {
  if (!(error instanceof WorkflowFailedError || error instanceof WorkflowUpdateFailedError)) {
    const message = `The run ${workflowId} was lost sight of: ${messageOf(error)}`;
    const advice = 'It goes on when Temporal is back. `holdfast list` shows what became of it, and so does the Web UI.';
    return { error: new HoldfastError('TemporalUnreachable', message, { advice, cause: error }), detail: undefined };
  }
  // A step's failure stands inside the one that says which step it was.
  const cause = error.cause instanceof ActivityFailure ? error.cause.cause : error.cause;
  if (cause instanceof ApplicationFailure) {
    const detail: unknown = cause.details?.[0];
    const type = isErrorType(cause.type) ? cause.type : 'Unexpected';
    const advice = adviceIn(detail);
    // The Web UI shows the message alone, so there it ends with the advice and an input to copy; here the advice has its line.
    const message = (type === 'InvalidInput' ? problemIn(detail) : undefined) ?? cause.message;
    return { error: new HoldfastError(type, message, { ...(advice && { advice }), cause: error }), detail };
  }
  if (cause instanceof CancelledFailure) {
    return { error: cancelledRun(workflowId, undefined, error), detail: undefined };
  }
  const how =
    cause instanceof TerminatedFailure ? 'was terminated' : cause instanceof TimeoutFailure ? 'timed out' : 'failed';
  const message = `The run ${workflowId} ${how}: ${messageOf(cause)}`;
  return { error: new HoldfastError('Unexpected', message, { cause: error }), detail: undefined };
}

/** A run that was cancelled, with what its own result says of what that left. */
export function cancelledRun(workflowId: string, result: unknown, cause: unknown): HoldfastError {
  const advice = adviceIn(result);
  return new HoldfastError('Cancelled', `The run ${workflowId} was cancelled.`, { ...(advice && { advice }), cause });
}

/** Steps give their advice as their failure's detail, runs inside the result that is theirs. */
function adviceIn(detail: unknown): string | undefined {
  const parsed = z
    .union([z.object({ advice: z.string() }), z.object({ problem: z.object({ advice: z.string() }) })])
    .safeParse(detail);
  if (!parsed.success) return undefined;
  return 'advice' in parsed.data ? parsed.data.advice : parsed.data.problem.advice;
}

/** What is wrong, in the run's own result; only where what to do is told there, too. */
function problemIn(detail: unknown): string | undefined {
  const parsed = z.object({ problem: z.object({ message: z.string(), advice: z.string() }) }).safeParse(detail);
  return parsed.success ? parsed.data.problem.message : undefined;
}

function isErrorType(type: string | null | undefined): type is ErrorType {
  return typeof type === 'string' && Object.hasOwn(ERROR_TYPES, type);
}
