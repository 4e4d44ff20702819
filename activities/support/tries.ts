import type { Context } from '@temporalio/activity';
import { z } from 'zod';

/**
 * How long or how often a step may fail by itself, and how long it rests between. A worker that is killed, stopped or cut
 * off is no failure of the work: Temporal counts it as an attempt, this does not.
 */
export interface Tries {
  /** Failures in all. Unset: as many as its patience allows. */
  readonly most?: number;
  /** Milliseconds from the first failure since the step last got on, after which the next one is the last. */
  readonly patience?: number;
  /** Milliseconds before the second try; doubled before each one after, until the step gets on again. */
  readonly firstPause: number;
  /** Milliseconds. */
  readonly longestPause: number;
}

/** What follows from a failure. */
export interface NextTry {
  readonly nonRetryable: boolean;
  /** Milliseconds. */
  readonly nextRetryDelay: number;
  /** Milliseconds since the first of the failures, for a step that is given up for want of patience. */
  readonly failedFor?: number;
}

/** Counts the failures of a step over all its attempts, on whatever worker. */
export interface TryCount {
  /** Sends the latest checkpoint, and with it the count, to where the next attempt finds both. */
  heartbeat(checkpoint: unknown): void;
  /** What failed before is forgiven: the step got on. */
  gotOn(): void;
  /** Counts one more failure. `retryAfter`: milliseconds for which the other side asked to be left alone. */
  failed(checkpoint: unknown, retryAfter: number | undefined): NextTry;
}

const heartbeatDetails = z.object({ failures: z.number(), failingSince: z.number().optional() });

/**
 * The count lives in the heartbeat details: Temporal keeps the last ones it got for the next attempt, and takes those
 * that come with a failure. Where a worker dies before they are sent, the step has one try more.
 */
export function tryCount(activity: Context, tries: Tries): TryCount {
  const { patience, firstPause, longestPause } = tries;
  const found = heartbeatDetails.safeParse(activity.info.heartbeatDetails);
  let earlier = found.success ? found.data : { failures: 0, failingSince: undefined };
  return {
    heartbeat: (checkpoint) => activity.heartbeat({ ...earlier, checkpoint }),
    gotOn: () => {
      // A number of tries is for steps that begin anew each time.
      if (patience !== undefined) earlier = { failures: 0, failingSince: undefined };
    },
    failed: (checkpoint, retryAfter = 0) => {
      const now = Date.now();
      const { failures, failingSince = now } = earlier;
      activity.heartbeat({ failures: failures + 1, failingSince, checkpoint });
      const left = patience === undefined ? Number.POSITIVE_INFINITY : failingSince + patience - now;
      const pause = Math.min(longestPause, firstPause * 2 ** failures, Math.max(left, firstPause));
      return {
        nonRetryable: failures + 1 >= (tries.most ?? Number.POSITIVE_INFINITY) || left <= 0,
        nextRetryDelay: Math.max(Math.round(spread(pause)), retryAfter),
        ...(left <= 0 && { failedFor: now - failingSince }),
      };
    },
  };
}

/** Three quarters to the whole of a pause, so that many who failed together do not come back together. */
function spread(pause: number): number {
  return pause * (0.75 + Math.random() / 4);
}
