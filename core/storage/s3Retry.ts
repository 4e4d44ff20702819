import { setTimeout as sleep } from 'node:timers/promises';
import { AdaptiveRetryStrategy } from '@smithy/core/retry';
import type { RetryStrategyV2 } from '@smithy/types';
import { HoldfastError } from '../errors.ts';

/** Tries of one request, the first included; with the SDK's backoff they take some seconds at most. */
const MAXIMUM_ATTEMPTS = 4;
/** Milliseconds that a request itself waits because the service asked for it. Longer is for who can do so durably. */
const LONGEST_WAIT = 20_000;
/** The longest that anybody is left alone for, whatever it asks. */
const LONGEST_QUIET = 15 * 60_000;

export interface S3Retry {
  readonly strategy: RetryStrategyV2;
  /** Milliseconds for which the service asked to be left alone; 0 when it did not. */
  quietFor(): number;
}

/**
 * The SDK's adaptive retries: backoff with jitter, a quota for retries, and under throttling (SlowDown, 429,
 * RequestLimitExceeded, ...) fewer requests, then slowly more again. The SDK stretches its own backoff by 5 seconds at most
 * for the sake of `Retry-After`; here every request to the backend keeps quiet for as long as was asked.
 */
export function s3Retry(backend: string): S3Retry {
  const sdk = new AdaptiveRetryStrategy(MAXIMUM_ATTEMPTS);
  let quietUntil = 0;
  const quietFor = () => Math.max(0, quietUntil - Date.now());
  const keepQuiet = async () => {
    const wait = quietFor();
    if (wait > LONGEST_WAIT) throw askedForQuiet(backend, wait);
    if (wait > 0) await sleep(wait);
  };
  return {
    quietFor,
    strategy: {
      acquireInitialRetryToken: async (scope) => {
        await keepQuiet();
        return sdk.acquireInitialRetryToken(scope);
      },
      refreshRetryTokenForRetry: async (token, info) => {
        const asked = info.retryAfterHint?.getTime() ?? 0;
        quietUntil = Math.max(quietUntil, Math.min(asked, Date.now() + LONGEST_QUIET));
        if (quietFor() > LONGEST_WAIT) throw askedForQuiet(backend, quietFor());
        const next = await sdk.refreshRetryTokenForRetry(token as Parameters<typeof sdk.recordSuccess>[0], info);
        await keepQuiet();
        return next;
      },
      recordSuccess: (token) => sdk.recordSuccess(token as Parameters<typeof sdk.recordSuccess>[0]),
    },
  };
}

function askedForQuiet(backend: string, retryAfter: number): HoldfastError {
  const seconds = Math.ceil(retryAfter / 1000);
  return new HoldfastError(
    'BackendUnreachable',
    `backend ${backend}: the service asked to be left alone for ${seconds} s`,
    {
      advice: 'It is tried again after that. If it happens often, lower concurrency or set bandwidth for the backend.',
      retryAfter,
    },
  );
}
