import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import pLimit, { type LimitFunction } from 'p-limit';
import { codeOf } from '../errors.ts';
import type { AttemptReader } from '../spool/attemptReader.ts';
import { nextAttempt } from '../spool/attemptReader.ts';
import type { ObjectEntry, SegmentEntry } from '../spool/journal.ts';
import type { Spool } from '../spool/spool.ts';
import type { Backend, Upload } from '../storage/backend.ts';

export interface UploadCopyOptions {
  readonly backend: Backend;
  readonly spool: Spool;
  readonly backup: string;
  /** Where the copy's objects go on the backend; ends with a slash. */
  readonly prefix: string;
  /** Segments in flight at once: what bounds the memory of an upload. */
  readonly concurrency: number;
  readonly signal: AbortSignal;
  /** Told after every segment how many bytes of the attempt at hand the backend has. */
  readonly onProgress: (bytes: number) => void;
}

export interface UploadedCopy {
  /** Name of the attempt that was sent. */
  readonly attempt: string;
  readonly objects: number;
  /** Bytes of the copy on the backend. */
  readonly bytes: number;
  /** Bytes that an earlier try had sent already and that were not sent again. */
  readonly resumedBytes: number;
}

/**
 * Sends one copy to one backend while the dump is still writing it, and follows the dump into a new attempt when it had
 * to start over. Resolves when every object of the attempt that reached its end stands on the backend.
 */
export async function uploadCopy(options: UploadCopyOptions): Promise<UploadedCopy> {
  let attempt: AttemptReader | undefined;
  for (;;) {
    attempt = await nextAttempt(options.spool, options.backup, attempt?.directory, options.signal);
    const outcome = await uploadAttempt(attempt, options);
    if (outcome !== 'superseded') return { ...outcome, attempt: path.basename(attempt.directory) };
  }
}

/** One object between the spool and the backend. */
interface ObjectTransfer {
  segment(entry: SegmentEntry): void;
  end(entry: ObjectEntry): void;
  /** Waits until nothing of it is in flight any more, however it ended. */
  settle(): Promise<void>;
  /** Settles, and takes back what the backend has of it. */
  abandon(): Promise<void>;
  readonly done: Promise<void>;
}

async function uploadAttempt(
  attempt: AttemptReader,
  options: UploadCopyOptions,
): Promise<Omit<UploadedCopy, 'attempt'> | 'superseded'> {
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);
  const totals = { objects: 0, bytes: 0, resumedBytes: 0 };
  const transfers = new Map<string, ObjectTransfer>();
  const context: TransferContext = {
    ...options,
    attempt,
    signal,
    slots: pLimit(options.concurrency),
    totals,
    spareBuffers: [],
    fail: (reason) => failure.abort(reason),
  };
  const transferOf = (object: string) => {
    let transfer = transfers.get(object);
    if (transfer === undefined) {
      transfer = objectTransfer(object, context);
      // The first failure ends the waiting for the journal; it is thrown below.
      transfer.done.catch((error: unknown) => failure.abort(error));
      transfers.set(object, transfer);
    }
    return transfer;
  };

  try {
    await abortStrays(attempt, options);
    for await (const entry of attempt.follow(signal)) {
      if (entry.type === 'segment') transferOf(entry.object).segment(entry);
      else if (entry.type === 'object') transferOf(entry.object).end(entry);
      else if (entry.type === 'superseded') {
        failure.abort(new Error('superseded'));
        await Promise.all([...transfers.values()].map((transfer) => transfer.abandon()));
        return 'superseded';
      }
    }
    await Promise.all([...transfers.values()].map((transfer) => transfer.done));
    return totals;
  } finally {
    failure.abort(new Error('the upload is over'));
    await Promise.all([...transfers.values()].map((transfer) => transfer.settle()));
  }
}

interface TransferContext extends UploadCopyOptions {
  readonly attempt: AttemptReader;
  readonly slots: LimitFunction;
  /** Ends every other transfer of the attempt. */
  readonly fail: (reason: unknown) => void;
  readonly totals: { objects: number; bytes: number; resumedBytes: number };
  /** Segment-sized, used again and again: fresh ones would cost a garbage collection every few segments. */
  readonly spareBuffers: Buffer[];
}

/**
 * An object of one segment is stored whole; from the second segment on it is an upload in segments. Which of the two it
 * is shows only with the second segment or the object's end, so the first waits for that.
 */
function objectTransfer(object: string, context: TransferContext): ObjectTransfer {
  const { backend, signal } = context;
  const key = `${context.prefix}${object}`;
  const sent: Promise<void>[] = [];
  const ended = Promise.withResolvers<void>();
  let first: SegmentEntry | undefined;
  let opened: Promise<OpenUpload> | undefined;
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
  const sendBody = async (entry: SegmentEntry, deliver: (body: Buffer) => Promise<unknown>) => {
    const buffer = context.spareBuffers.pop() ?? Buffer.allocUnsafeSlow(context.spool.segmentSize);
    const body = await context.attempt.readSegment(object, entry.number, buffer);
    if (body === undefined) return;
    await deliver(body);
    // After a failure a request may still be reading the buffer: only a delivered one is used again.
    context.spareBuffers.push(buffer);
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
      const upload = await (opened ??= openUpload(key, object, context));
      if (upload.has(entry)) {
        context.totals.resumedBytes += entry.bytes;
        count(entry.bytes);
      } else {
        await sendBody(entry, (body) => upload.putSegment(entry.number, body, entry, signal));
      }
    });
  const storeWhole = (entry: SegmentEntry) =>
    inTurn(() => sendBody(entry, (body) => backend.put(key, body, { hashes: entry, signal })));
  const finishWith = async (entry: ObjectEntry) => {
    if (first !== undefined) await storeWhole(first);
    await Promise.all(sent);
    if (opened !== undefined) await (await opened).complete(entry);
    context.totals.objects += 1;
  };

  return {
    done: ended.promise,
    segment(entry) {
      if (entry.number === 1) {
        first = entry;
        return;
      }
      if (first !== undefined) track(send(first));
      first = undefined;
      track(send(entry));
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

/**
 * Takes back what uploads of this copy are still under way but do not belong to this attempt: a worker that was killed
 * left them, and the attempt they belonged to is gone.
 */
async function abortStrays(
  { directory }: AttemptReader,
  { backend, prefix, signal }: UploadCopyOptions,
): Promise<void> {
  const known = await knownLocators(path.join(directory, 'uploads', backend.name));
  for await (const upload of backend.listUploads(prefix, signal)) {
    if (!known.has(upload.locator)) await backend.abortUpload(upload, signal);
  }
}

async function knownLocators(folder: string): Promise<Set<string>> {
  try {
    return new Set(await Promise.all((await readdir(folder)).map((note) => readFile(path.join(folder, note), 'utf8'))));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return new Set();
    throw error;
  }
}

interface OpenUpload {
  has(entry: SegmentEntry): boolean;
  putSegment: Upload['putSegment'];
  complete(entry: ObjectEntry): Promise<void>;
  abort(): Promise<void>;
}

/** Goes on with the upload that an earlier try began, where the backend still knows it; what it lists is what it has. */
async function openUpload(key: string, object: string, context: TransferContext): Promise<OpenUpload> {
  const { backend, signal, attempt, spool } = context;
  const notePath = path.join(attempt.directory, 'uploads', backend.name, `${object}.locator`);
  const locator = await readNote(notePath);
  const upload = await backend.beginUpload(key, {
    segmentSize: spool.segmentSize,
    signal,
    ...(locator !== undefined && { resume: locator }),
  });
  const present = new Map<number, { bytes: number; sha256?: string | undefined }>();
  if (upload.locator === locator) {
    for (const segment of await upload.listSegments(signal)) present.set(segment.number, segment);
  } else {
    await mkdir(path.dirname(notePath), { recursive: true, mode: 0o700 });
    await writeFile(notePath, upload.locator, { mode: 0o600 });
  }
  return {
    has(entry) {
      const segment = present.get(entry.number);
      return segment?.bytes === entry.bytes && (segment.sha256 === undefined || segment.sha256 === entry.sha256);
    },
    putSegment: (...parameters) => upload.putSegment(...parameters),
    async complete(entry) {
      await upload.complete({ segments: entry.segments, bytes: entry.bytes }, signal);
      await rm(notePath, { force: true });
    },
    abort: () => upload.abort(),
  };
}

async function readNote(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
