import { TokenBucket } from 'limiter';

/**
 * How fast one backend may be sent to by this process. Whoever sends pays for each body before it goes out, so that the
 * limit holds on average over a few segments; the waiting is no part of a request, and never a stall.
 */
export interface Pace {
  /** Resolves when so many bytes may be sent; shared fairly among those who wait. Rejects with the signal's reason. */
  take(bytes: number, signal?: AbortSignal): Promise<void>;
  /**
   * Sets another limit than the configured one, in bytes a second, or none (null), for as long as a holder wants it. Of
   * several holders the last to speak is heard. Those who are waiting feel it at once.
   */
  override(holder: string, bytesPerSecond: number | null): void;
  /** Takes a holder's word back. */
  release(holder: string): void;
  /** Bytes a second; null for no limit. */
  readonly limit: number | null;
}

/** Nobody waits longer than this part of a second without looking whether the limit is still the same. */
const SLICE = 1 / 8;

export function createPace(configured: number | null): Pace {
  const overrides = new Map<string, number | null>();
  let limit = configured;
  let bucket = bucketOf(limit);
  const apply = () => {
    const wanted = overrides.size === 0 ? configured : ([...overrides.values()].at(-1) ?? null);
    if (wanted === limit) return;
    limit = wanted;
    bucket = bucketOf(limit);
  };
  return {
    get limit() {
      return limit;
    },
    async take(bytes, signal) {
      let left = bytes;
      while (left > 0) {
        signal?.throwIfAborted();
        left -= await takeSlice(bucket, left);
      }
    },
    override(holder, bytesPerSecond) {
      if (overrides.get(holder) === bytesPerSecond) return;
      overrides.delete(holder);
      overrides.set(holder, bytesPerSecond);
      apply();
    },
    release(holder) {
      overrides.delete(holder);
      apply();
    },
  };
}

/** Takes as much as comes soon, and says how much that was. */
async function takeSlice(bucket: TokenBucket | undefined, most: number): Promise<number> {
  if (bucket === undefined) return most;
  const slice = Math.min(most, bucket.bucketSize);
  await bucket.removeTokens(slice);
  return slice;
}

function bucketOf(bytesPerSecond: number | null): TokenBucket | undefined {
  if (bytesPerSecond === null) return undefined;
  const bucketSize = Math.max(1, Math.ceil(bytesPerSecond * SLICE));
  return new TokenBucket({ bucketSize, tokensPerInterval: bytesPerSecond, interval: 'second' });
}
