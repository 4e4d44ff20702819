import type { Context } from '@temporalio/activity';
import { z } from 'zod';

/**
 * How often a step may fail by itself, and how long it rests between. A worker that is killed, stopped or cut off is no
 * failure of the work: Temporal counts it as an attempt, this does not.
 */
export interface Tries {
  readonly most: number;
  /** Milliseconds before the second try; doubled before each one after. */
  readonly firstPause: number;
  /** Milliseconds. */
  readonly longestPause: number;
}

/** What follows from a failure. */
export interface NextTry {
  readonly nonRetryable: boolean;
  /** Milliseconds. */
  readonly nextRetryDelay: number;
}

/** Counts the failures of a step over all its attempts, on whatever worker. */
export interface TryCount {
  /** Sends the latest checkpoint, and with it the count, to where the next attempt finds both. */
  heartbeat(checkpoint: unknown): void;
  /** Counts one more failure. */
  failed(checkpoint: unknown): NextTry;
}

const heartbeatDetails = z.object({ failures: z.number() });

/**
 * The count lives in the heartbeat details: Temporal keeps the last ones it got for the next attempt, and takes those
 * that come with a failure. Where a worker dies before they are sent, the step has one try more.
 */
export function tryCount(activity: Context, { most, firstPause, longestPause }: Tries): TryCount {
  const found = heartbeatDetails.safeParse(activity.info.heartbeatDetails);
  const earlier = found.success ? found.data.failures : 0;
  return {
    heartbeat: (checkpoint) => activity.heartbeat({ failures: earlier, checkpoint }),
    failed: (checkpoint) => {
      activity.heartbeat({ failures: earlier + 1, checkpoint });
      return {
        nonRetryable: earlier + 1 >= most,
        nextRetryDelay: Math.min(longestPause, firstPause * 2 ** earlier),
      };
    },
  };
}
