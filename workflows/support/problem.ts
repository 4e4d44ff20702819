import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  isCancellation,
  TimeoutFailure,
} from '@temporalio/workflow';
import { TimeoutType } from '@temporalio/common';
import type { StepProblem } from '../../core/backup/run.ts';
import { ERROR_TYPES, type ErrorType } from '../../core/errors.ts';

/** What went wrong in a step, as the closed list of error types has it. */
export function problemOf(error: unknown): StepProblem {
  if (isCancellation(error)) return { type: 'Cancelled', message: 'Stopped on request.' };
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (cause instanceof ApplicationFailure) {
    const advice = adviceOf(cause);
    return {
      type: isErrorType(cause.type) ? cause.type : 'Unexpected',
      message: cause.message,
      ...(advice && { advice }),
    };
  }
  if (cause instanceof TimeoutFailure) {
    if (cause.timeoutType === TimeoutType.SCHEDULE_TO_START) return HOST_GONE;
    const step = error instanceof ActivityFailure ? error.activityType : 'step';
    return {
      type: 'Stalled',
      message: `The step ${step} was not heard of in time (${cause.timeoutType}).`,
      advice: 'Look at the worker: it was ended, lost its connection, or is overloaded.',
    };
  }
  if (cause instanceof CancelledFailure) return { type: 'Cancelled', message: 'Stopped on request.' };
  return { type: 'Unexpected', message: cause instanceof Error ? cause.message : String(cause) };
}

const HOST_GONE: StepProblem = {
  type: 'HostGone',
  message: "No worker served the run's spool in time: its host is gone.",
  advice: 'Start the worker there again, or look why it cannot reach Temporal.',
};

function adviceOf(failure: ApplicationFailure): string | undefined {
  const [detail] = failure.details ?? [];
  if (typeof detail !== 'object' || detail === null || !('advice' in detail)) return undefined;
  return typeof detail.advice === 'string' ? detail.advice : undefined;
}

function isErrorType(type: string | null | undefined): type is ErrorType {
  return typeof type === 'string' && Object.hasOwn(ERROR_TYPES, type);
}
