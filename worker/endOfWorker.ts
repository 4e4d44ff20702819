import { GracefulShutdownPeriodExpiredError } from '@temporalio/worker';
import { IllegalStateError } from '@temporalio/common';

/**
 * Whether a poller that was told to stop ended by force, because a step did not end in time. The SDK says so by the one
 * error, and covers it by the other where something of the poller was still at work.
 */
export function endedByForce(error: unknown): boolean {
  if (error instanceof GracefulShutdownPeriodExpiredError) return true;
  return error instanceof IllegalStateError && /\bstill in use\b/.test(error.message);
}
