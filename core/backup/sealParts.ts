import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { Compression } from '../config/schema.ts';
import { HoldfastError } from '../errors.ts';
import { objectName } from '../repository/layout.ts';
import type { ManifestPart } from '../repository/manifest.ts';
import type { SealingKey } from '../seal/keys.ts';
import { seal } from '../seal/seal.ts';
import type { AttemptWriter } from '../spool/attemptWriter.ts';
import { PART_EXTENSIONS, type PartSource, type PartStream } from './part.ts';
import type { PartProgress } from './run.ts';

export interface SealPartsOptions {
  readonly backup: string;
  readonly source: string;
  readonly parts: readonly PartSource[];
  /** Parts of the lane `dump` read at once. */
  readonly jobs: number;
  readonly attempt: AttemptWriter;
  readonly compression: Compression;
  readonly recipients: readonly SealingKey[];
  /** Unset: on this thread. */
  readonly seal?: typeof seal | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: PartProgress) => void;
}

/**
 * Reads every part once and leaves it compressed and sealed in the spool. Rejects with the first part's failure, after
 * every other part has been stopped.
 */
export async function sealParts(options: SealPartsOptions): Promise<ManifestPart[]> {
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);
  const lanes = { dump: pLimit(options.jobs), beside: pLimit(1) };
  const running = options.parts.map(async (part) =>
    lanes[part.lane](async () => {
      signal.throwIfAborted();
      try {
        return await sealPart(part, { ...options, signal });
      } catch (error) {
        failure.abort(error);
        throw error;
      }
    }),
  );
  const settled = await Promise.allSettled(running);
  options.signal.throwIfAborted();
  if (failure.signal.aborted) throw failure.signal.reason;
  return settled.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
}

async function sealPart(source: PartSource, options: SealPartsOptions): Promise<ManifestPart> {
  const { backup, attempt, compression, recipients, signal } = options;
  const { part, format } = source;
  const startedAt = new Date().toISOString();
  const stop = new AbortController();
  const stream = source.open(AbortSignal.any([signal, stop.signal]));
  // It may fail long before it is asked below.
  stream.finished.catch(() => undefined);
  const plaintext = noteBreak(stream.plaintext);
  const writer = attempt.openPart((index) => objectName(part, PART_EXTENSIONS[format], compression.type, index));
  try {
    const sealed = (options.seal ?? seal)(plaintext.stream, {
      compression,
      recipients,
      context: { backup, part, source: options.source },
      signal,
    });
    const report = (done: boolean) => {
      const { originalBytes, storedBytes } = sealed.totals();
      options.onProgress({ part, originalBytes, storedBytes, done });
    };
    for await (const chunk of sealed.ciphertext) {
      await writer.write(chunk);
      report(false);
    }
    // Only now is it known that the stream ended because there was no more, and not because its process died.
    const facts = await stream.finished;
    const written = await writer.finish();
    const totals = sealed.totals();
    expectEqualCounts(part, totals.storedBytes, written.bytes);
    report(true);
    return {
      part,
      format,
      compression,
      originalBytes: totals.originalBytes,
      compressedBytes: totals.compressedBytes,
      storedBytes: written.bytes,
      ratio: (totals.originalBytes / written.bytes).toFixed(2),
      sha256: written.sha256,
      keyIds: recipients.map((key) => key.id),
      objects: written.objects.map((object) => ({ ...object })),
      startedAt,
      endedAt: new Date().toISOString(),
      ...(facts.tree && { tree: structuredClone(facts.tree) as ManifestPart['tree'] & object }),
    };
  } catch (error) {
    const reason = plaintext.broke() ? await producersReason(stream, error) : error;
    stop.abort(reason);
    await Promise.allSettled([stream.finished]);
    throw reason;
  } finally {
    await writer.close();
  }
}

/** The same stream, and whether it broke off by itself: a stream that was left because its reader failed did not. */
function noteBreak(source: AsyncIterable<Uint8Array>) {
  let broke = false;
  async function* stream(): AsyncGenerator<Uint8Array> {
    try {
      yield* source;
    } catch (error) {
      broke = true;
      throw error;
    }
  }
  return { stream: stream(), broke: () => broke };
}

/** Why a stream broke is known to the process behind it, and it says so at once. */
async function producersReason({ finished }: PartStream, error: unknown): Promise<unknown> {
  const patience = sleep(200, error, { ref: false });
  return Promise.race([
    finished.then(
      () => error,
      (reason: unknown) => reason,
    ),
    patience,
  ]);
}

function expectEqualCounts(part: string, sealed: number, spooled: number): void {
  if (sealed === spooled) return;
  throw new HoldfastError(
    'SpoolFailed',
    `Part ${part}: ${sealed} bytes were sealed and ${spooled} reached the spool.`,
    {
      advice: 'Check the disk that holds the spool.',
    },
  );
}
