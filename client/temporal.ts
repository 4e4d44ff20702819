import { Client, Connection, WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure, TerminatedFailure, TimeoutFailure } from '@temporalio/common';
import type { Configuration } from '../core/config/schema.ts';
import { ERROR_TYPES, HoldfastError, messageOf, type ErrorType } from '../core/errors.ts';
import { temporalTarget, webUiLink, type TemporalTarget } from '../worker/connection.ts';

export interface TemporalClient {
  readonly client: Client;
  readonly target: TemporalTarget;
  webUiLink(workflowId: string, runId: string): string | undefined;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT = '5s';

/** Connects the command line to Temporal. Rejects with `TemporalUnreachable`. */
export async function connectTemporal(configuration: Configuration): Promise<TemporalClient> {
  const target = await temporalTarget(configuration);
  try {
    const connection = await Connection.connect({ ...target.options, connectTimeout: CONNECT_TIMEOUT });
    return {
      client: new Client({ connection, namespace: target.namespace }),
      target,
      webUiLink: (workflowId, runId) => webUiLink(configuration, target, workflowId, runId),
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

/** Warns when nobody would do the work: a run that is started then only waits. */
export async function hasWorker({ client, target }: TemporalClient, taskQueue: string): Promise<boolean> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: target.namespace,
    taskQueue: { name: taskQueue },
  });
  return (pollers ?? []).length > 0;
}

/** What a failed run says, as an error of the command line. The failure's first detail is handed on where it has one. */
export function errorOfRun(error: unknown, workflowId: string): { error: HoldfastError; detail: unknown } {
  if (!(error instanceof WorkflowFailedError)) {
    return {
      error: new HoldfastError('TemporalUnreachable', `The run ${workflowId} was lost sight of: ${messageOf(error)}`, {
        cause: error,
      }),
      detail: undefined,
    };
  }
  const { cause } = error;
  if (cause instanceof ApplicationFailure) {
    const detail: unknown = cause.details?.[0];
    const type = isErrorType(cause.type) ? cause.type : 'Unexpected';
    return { error: new HoldfastError(type, cause.message, { cause: error }), detail };
  }
  if (cause instanceof CancelledFailure) {
    return {
      error: new HoldfastError('Cancelled', `The run ${workflowId} was cancelled.`, { cause: error }),
      detail: undefined,
    };
  }
  const how =
    cause instanceof TerminatedFailure ? 'was terminated' : cause instanceof TimeoutFailure ? 'timed out' : 'failed';
  return {
    error: new HoldfastError('Unexpected', `The run ${workflowId} ${how}: ${messageOf(cause)}`, { cause: error }),
    detail: undefined,
  };
}

function isErrorType(type: string | null | undefined): type is ErrorType {
  return typeof type === 'string' && Object.hasOwn(ERROR_TYPES, type);
}
