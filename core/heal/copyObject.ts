import { createHash } from 'node:crypto';
import pLimit from 'p-limit';
import { HoldfastError, isHoldfastError } from '../errors.ts';
import type { KeyedObject } from '../repository/readObjects.ts';
import type { Backend, SegmentHashes, Upload } from '../storage/backend.ts';

export interface CopyObjectOptions {
  readonly source: Backend;
  readonly target: Backend;
  readonly object: KeyedObject;
  /** Bytes; raised for an object that would have too many segments of it. */
  readonly segmentSize: number;
  /** An upload of this object that an earlier try began. */
  readonly resume?: string | undefined;
  readonly signal: AbortSignal;
  /** Called with the bytes of every segment that the target has got. */
  readonly onBytes: (bytes: number) => void;
}

/** `wanting`: what the source gave is not the object, or could not be read; nothing became visible on the target. */
export type CopiedObject =
  { readonly outcome: 'copied' } | { readonly outcome: 'wanting'; readonly problem: HoldfastError };

/** Segments on their way to the target while the next one is read: what bounds the memory. */
const IN_FLIGHT = 2;
/** Below S3's 10,000, as every object of a backup was when it was first written. */
const MAXIMUM_SEGMENTS = 8192;
const MEBIBYTE = 2 ** 20;

/**
 * Copies one object in constant memory. It is hashed while it passes, and becomes visible on the target only when its
 * size and SHA-256 are those of the manifest. Segments that an earlier try sent are read, but not sent again, unless the
 * target refuses to complete what that try began: then it begins anew, once. Throws what is wrong with the target; what is
 * wrong with the source is the answer.
 */
export async function copyObject(options: CopyObjectOptions): Promise<CopiedObject> {
  const { object, target, signal } = options;
  const segmentSize = segmentSizeFor(object.bytes, options.segmentSize);
  const segments = segmentsOf(options, segmentSize);
  if (object.bytes <= segmentSize) return copyWhole(options, segments);
  const upload = await target.beginUpload(object.key, {
    segmentSize,
    signal,
    ...(options.resume !== undefined && { resume: options.resume }),
  });
  const sent = await sendSegments(options, segments, upload);
  if (sent.outcome === 'wanting') return sent;
  try {
    await upload.complete({ segments: sent.segments, bytes: object.bytes }, signal);
  } catch (error) {
    signal.throwIfAborted();
    const resumed = upload.locator === options.resume;
    if (!resumed || !upload.isBroken?.(error)) throw error;
    // The service refused it, and would again for ever: what an earlier try left is worth nothing.
    await upload.abort(signal);
    return copyObject({ ...options, resume: undefined });
  }
  return { outcome: 'copied' };
}

/** Bytes: the configured size, or the least whole number of MiB that needs no more segments than storages take. */
export function segmentSizeFor(bytes: number, configured: number): number {
  return Math.max(configured, Math.ceil(bytes / MAXIMUM_SEGMENTS / MEBIBYTE) * MEBIBYTE);
}

interface Segment {
  readonly number: number;
  readonly body: Buffer;
}

async function copyWhole(options: CopyObjectOptions, segments: AsyncIterable<Segment>): Promise<CopiedObject> {
  const { object, target, signal, onBytes } = options;
  let body: Buffer = Buffer.alloc(0);
  const problem = await sourceProblem(async () => {
    for await (const segment of segments) ({ body } = segment);
  });
  if (problem) return { outcome: 'wanting', problem };
  await target.put(object.key, body, { hashes: { sha256: object.sha256 }, signal });
  onBytes(body.length);
  return { outcome: 'copied' };
}

type SentSegments =
  | { readonly outcome: 'sent'; readonly segments: number }
  | { readonly outcome: 'wanting'; readonly problem: HoldfastError };

async function sendSegments(
  options: CopyObjectOptions,
  segments: AsyncIterable<Segment>,
  upload: Upload,
): Promise<SentSegments> {
  const { signal, onBytes } = options;
  const present = new Map((await upload.listSegments(signal)).map((segment) => [segment.number, segment]));
  const slots = pLimit(IN_FLIGHT);
  const sending = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  let count = 0;
  const send = async ({ number, body }: Segment) => {
    const hashes: SegmentHashes = { sha256: createHash('sha256').update(body).digest('hex') };
    const there = present.get(number);
    if (there?.bytes !== body.length || there.sha256 !== hashes.sha256) {
      await upload.putSegment(number, body, hashes, signal);
    }
    onBytes(body.length);
  };
  const problem = await sourceProblem(async () => {
    for await (const segment of segments) {
      count += 1;
      const sent = slots(send, segment).catch((error: unknown) => {
        failure ??= { error };
      });
      sending.add(sent);
      void sent.finally(() => sending.delete(sent));
      // The next segment is read while these are sent, and no further.
      if (sending.size >= IN_FLIGHT) await Promise.race(sending);
      if (failure) break;
    }
  });
  await Promise.all(sending);
  // An upload that broke off is kept: the next try goes on with it.
  if (failure) throw failure.error;
  if (problem) {
    await upload.abort(signal);
    return { outcome: 'wanting', problem };
  }
  return { outcome: 'sent', segments: count };
}

/** The object in segments. Throws a `SourceWanting` at the latest after the last of them when it is not what it should be. */
async function* segmentsOf(
  { source, object, signal }: CopyObjectOptions,
  segmentSize: number,
): AsyncGenerator<Segment, void> {
  const hash = createHash('sha256');
  let bytes = 0;
  let number = 0;
  let filled = 0;
  let body = Buffer.allocUnsafeSlow(Math.min(segmentSize, Math.max(1, object.bytes)));
  try {
    for await (const chunk of await source.get(object.key, { signal })) {
      let rest = chunk as Buffer;
      bytes += rest.length;
      if (bytes > object.bytes) throw notThisObject(source, object, `is longer than the ${object.bytes} bytes written`);
      hash.update(rest);
      while (rest.length > 0) {
        const taken = rest.copy(body, filled);
        filled += taken;
        rest = rest.subarray(taken);
        // The last segment waits for the hash: an object is never completed before it is known to be right.
        if (filled < body.length || (rest.length === 0 && bytes === object.bytes)) continue;
        yield { number: (number += 1), body };
        filled = 0;
        body = Buffer.allocUnsafeSlow(segmentSize);
      }
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!isHoldfastError(error)) throw error;
    throw new SourceWanting(error);
  }
  if (bytes < object.bytes) {
    throw new SourceWanting(notThisObject(source, object, `has ${bytes} of ${object.bytes} bytes`));
  }
  if (hash.digest('hex') !== object.sha256) {
    throw new SourceWanting(notThisObject(source, object, 'holds other bytes than were written'));
  }
  yield { number: number + 1, body: body.subarray(0, filled) };
}

/** Marks what is the source's fault on its way through code that also meets the target's. */
class SourceWanting extends Error {
  readonly problem: HoldfastError;

  constructor(problem: HoldfastError) {
    super(problem.message);
    this.problem = problem;
  }
}

async function sourceProblem(read: () => Promise<void>): Promise<HoldfastError | undefined> {
  try {
    await read();
    return undefined;
  } catch (error) {
    if (error instanceof SourceWanting) return error.problem;
    throw error;
  }
}

function notThisObject(source: Backend, { key }: KeyedObject, what: string): HoldfastError {
  return new HoldfastError('ObjectDamaged', `${source.name}: ${key} ${what}`);
}
