import { createHash } from 'node:crypto';
import type { LimitFunction } from 'p-limit';
import { HoldfastError, isHoldfastError } from '../errors.ts';
import type { ObjectEntry, SegmentEntry } from '../spool/journal.ts';
import { goneFromSpool } from '../spool/leaving.ts';
import { openObjectUpload, type ObjectUpload, type ObjectUploadContext } from './objectUpload.ts';

/** One object between the spool and the backend. */
export interface ObjectTransfer {
  segment(entry: SegmentEntry): void;
  end(entry: ObjectEntry): void;
  /** Waits until nothing of it is in flight any more, however it ended. */
  settle(): Promise<void>;
  /** Settles, and takes back what the backend has of it. */
  abandon(): Promise<void>;
  readonly done: Promise<void>;
}

export interface TransferContext extends ObjectUploadContext {
  /** Where the copy's objects go on the backend; ends with a slash. */
  readonly prefix: string;
  readonly slots: LimitFunction;
  /** Ends every other transfer of the attempt. */
  readonly fail: (reason: unknown) => void;
  readonly totals: { objects: number; bytes: number; resumedBytes: number };
  readonly onProgress: (bytes: number) => void;
  readonly onSent: () => void;
  /** Segment-sized, used again and again: fresh ones would cost a garbage collection every few segments. */
  readonly spareBuffers: Buffer[];
}

/**
 * An object of one segment is stored whole; from the second segment on it is an upload in segments. Which of the two it
 * is shows only with the second segment or the object's end, so the first waits for that. An object that an earlier try
 * completed waits for its end too, to be looked up.
 */
export function objectTransfer(object: string, context: TransferContext): ObjectTransfer {
  const { backend, signal, notes } = context;
  const key = `${context.prefix}${object}`;
  const sent: Promise<void>[] = [];
  const ended = Promise.withResolvers<void>();
  const completedBefore: SegmentEntry[] | undefined = notes.isComplete(object) ? [] : undefined;
  let first: SegmentEntry | undefined;
  let opened: Promise<ObjectUpload> | undefined;
  let finishing: Promise<void> | undefined;

  const settle = async () => {
    await Promise.allSettled([...sent, finishing]);
  };
  const track = (step: Promise<void>) => {
    step.catch(ended.reject);
    sent.push(step);
  };
  const count = (bytes: number) => {
    context.totals.bytes += bytes;
    context.onProgress(context.totals.bytes);
  };
  const countResumed = (bytes: number) => {
    context.totals.resumedBytes += bytes;
    count(bytes);
  };
  const sendBody = async (entry: SegmentEntry, deliver: (body: Buffer) => Promise<unknown>) => {
    const buffer = context.spareBuffers.pop() ?? Buffer.allocUnsafeSlow(context.spool.segmentSize);
    const body = await context.attempt.readSegment(object, entry.number, buffer);
    if (body === 'superseded') return;
    if (body === 'removed') throw goneFromSpool(backend.name, object, entry.number);
    await deliver(body).catch((error: unknown) => {
      throw isHoldfastError(error, 'ObjectDamaged') && isChanged(body, entry) ? spoolChanged(entry, error) : error;
    });
    // After a failure a request may still be reading the buffer: only a delivered one is used again.
    context.spareBuffers.push(buffer);
    await notes.segment(entry);
    context.onSent();
    count(entry.bytes);
  };
  /** In its turn, and not at all after a failure: the failure is told before the next one's turn comes. */
  const inTurn = (step: () => Promise<void>) =>
    context.slots(async () => {
      signal.throwIfAborted();
      try {
        await step();
      } catch (error) {
        context.fail(error);
        throw error;
      }
    });
  const send = (entry: SegmentEntry) =>
    inTurn(async () => {
      const upload = await (opened ??= openObjectUpload(key, object, context));
      if (upload.has(entry)) {
        await notes.segment(entry);
        countResumed(entry.bytes);
      } else {
        await sendBody(entry, (body) => upload.putSegment(entry.number, body, entry, signal));
      }
    });
  const storeWhole = (entry: SegmentEntry) =>
    inTurn(() => sendBody(entry, (body) => backend.put(key, body, { hashes: entry, signal })));
  const take = (entry: SegmentEntry) => {
    if (entry.number === 1) {
      first = entry;
      return;
    }
    if (first !== undefined) track(send(first));
    first = undefined;
    track(send(entry));
  };
  const finishWith = async (entry: ObjectEntry) => {
    if (completedBefore !== undefined) {
      if ((await backend.head(key, signal))?.bytes === entry.bytes) {
        context.totals.objects += 1;
        countResumed(entry.bytes);
        return;
      }
      await notes.restart(object);
      for (const segment of completedBefore) take(segment);
    }
    if (first !== undefined) await storeWhole(first);
    await Promise.all(sent);
    if (opened !== undefined) await (await opened).complete(entry);
    await notes.complete(object);
    context.totals.objects += 1;
  };

  return {
    done: ended.promise,
    segment(entry) {
      if (completedBefore !== undefined) completedBefore.push(entry);
      else take(entry);
    },
    end(entry) {
      finishing = finishWith(entry);
      finishing.then(ended.resolve, ended.reject);
    },
    settle,
    async abandon() {
      await settle();
      // An upload that could not even be opened left nothing to abort.
      const upload = await opened?.catch(() => undefined);
      await upload?.abort();
    },
  };
}

function isChanged(body: Buffer, { sha256 }: SegmentEntry): boolean {
  return createHash('sha256').update(body).digest('hex') !== sha256;
}

function spoolChanged({ object, number }: SegmentEntry, cause: unknown): HoldfastError {
  return new HoldfastError(
    'SpoolFailed',
    `Segment ${number} of ${object} in the spool is not what was written there; it was not sent.`,
    {
      advice: 'The disk of the spool failed, or its power did. Test it; the next backup begins anew.',
      cause,
      retryable: false,
    },
  );
}
