import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import { nextAttempt, type AttemptReader } from '../spool/attemptReader.ts';
import { openDeliveryNotes } from '../spool/deliveries.ts';
import { leftBehind, readLeaving } from '../spool/leaving.ts';
import type { Spool } from '../spool/spool.ts';
import type { Backend } from '../storage/backend.ts';
import { objectTransfer, type ObjectTransfer, type TransferContext } from './objectTransfer.ts';
import { abortStrays } from './objectUpload.ts';

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
  /** Told when the backend took something that it did not have before. */
  readonly onSent?: () => void;
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
 * to start over. Resolves when every object of the attempt that reached its end stands on the backend. Rejects with
 * `LeftBehind` when the dump could not wait for it.
 */
export async function uploadCopy(options: UploadCopyOptions): Promise<UploadedCopy> {
  let attempt: AttemptReader | undefined;
  for (;;) {
    attempt = await nextAttempt(options.spool, options.backup, attempt?.directory, options.signal);
    const outcome = await uploadAttempt(attempt, options);
    if (outcome !== 'superseded') return { ...outcome, attempt: path.basename(attempt.directory) };
  }
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
    notes: await openDeliveryNotes(attempt.directory, options.backend.name),
    onSent: options.onSent ?? (() => undefined),
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

  untilLeftBehind(options, signal).catch((error: unknown) => failure.abort(error));
  try {
    await abortStrays(attempt, { ...options, signal });
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

const LEFT_BEHIND_INTERVAL = 500;

/** Rejects with `LeftBehind` once the dump goes on without this backend, else when the signal aborts. */
async function untilLeftBehind({ spool, backup, backend }: UploadCopyOptions, signal: AbortSignal): Promise<never> {
  for (;;) {
    const note = await readLeaving(spool, backup, backend.name);
    if (note?.reason === 'behind') throw leftBehind(backend.name, note);
    await sleep(LEFT_BEHIND_INTERVAL, undefined, { signal });
  }
}
