import { isHoldfastError, messageOf } from '../../core/errors.ts';
import { explained } from '../../core/systemErrors.ts';

/** One line of the doctor's table. */
export interface Finding {
  readonly state: 'ok' | 'warning' | 'failure';
  /** What was looked at, e.g. `backend r2`. */
  readonly subject: string;
  readonly message: string;
  /** What to do about it. */
  readonly advice?: string;
}

/** Something to look at. A rejection is a finding too: a failure with the error's words. */
export interface Check {
  readonly subject: string;
  /** Stops soon after `signal` aborts. */
  run(signal: AbortSignal): Promise<readonly Omit<Finding, 'subject'>[]>;
}

export function ok(message: string): Omit<Finding, 'subject'> {
  return { state: 'ok', message };
}

export function warning(message: string, advice?: string): Omit<Finding, 'subject'> {
  return { state: 'warning', message, ...(advice !== undefined && { advice }) };
}

export function failure(message: string, advice?: string): Omit<Finding, 'subject'> {
  return { state: 'failure', message, ...(advice !== undefined && { advice }) };
}

export function failureOf(thrown: unknown): Omit<Finding, 'subject'> {
  const error = explained(thrown);
  return failure(messageOf(error), isHoldfastError(error) ? error.advice : undefined);
}
