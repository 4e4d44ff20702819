import { MessageChannel, Worker, type Transferable } from 'node:worker_threads';
import { HoldfastError } from '../errors.ts';
import type { openPart, OpenPartOptions } from '../repository/openPart.ts';
import { abortable } from '../seal/abortable.ts';
import { counted } from '../seal/counted.ts';
import type { seal, SealTotals } from '../seal/seal.ts';
import { createChunkChannel, receiveChunks, sendChunks } from './chunkChannel.ts';
import { unpackError } from './packedError.ts';
import type { OpenTask, OpenVerdict, SealTask, Task } from './tasks.ts';

/**
 * A thread for the work on a backup's bytes. What that work allocates by the gigabyte is outside the JavaScript heap,
 * but makes the garbage collector run every few dozen megabytes, and each run walks the heap of its thread: the
 * worker's own is large, this one is small.
 */
export interface WorkThread {
  /**
   * As `seal`. A chunk is good until the next one is asked for, and the compressed bytes are known at the end only.
   */
  readonly seal: typeof seal;
  /** As `openPart`. */
  readonly openPart: typeof openPart;
  /** Ends the thread; what it still works on fails. */
  close(): Promise<void>;
}

const ENTRY = new URL('entry.ts', import.meta.url);
const SLOTS = 3;
const SLOT_BYTES = 2 ** 19;

/** The thread is started at its first use, and again at the next one should it have died. */
export function createWorkThread(): WorkThread {
  let running: Worker | undefined;
  const post = (task: Task, transfer: Transferable[]) => {
    running ??= startThread((ended) => {
      if (running === ended) running = undefined;
    });
    running.postMessage(task, transfer);
  };
  return {
    seal: sealVia(post),
    openPart: openVia(post),
    close: async () => {
      const ending = running;
      running = undefined;
      await ending?.terminate();
    },
  };
}

function startThread(onEnd: (ended: Worker) => void): Worker {
  // Compressed and encrypted bytes are garbage as soon as they are handed on, and it is the young generation's size that
  // says how much of it gathers.
  const thread = new Worker(ENTRY, { resourceLimits: { maxYoungGenerationSizeMb: 1 } });
  // Those who wait for it see their ports close.
  thread.once('error', () => onEnd(thread));
  thread.once('exit', () => onEnd(thread));
  // It ends with the process and does not keep it.
  thread.unref();
  return thread;
}

type Post = (task: Task, transfer: Transferable[]) => void;

const sealVia =
  (post: Post): typeof seal =>
  (plaintext, { signal, ...options }) => {
    const leaving = new AbortController();
    const original = counted(abortable(plaintext, anyOf(signal, leaving.signal)));
    let totals: SealTotals | undefined;

    async function* ciphertext(): AsyncGenerator<Buffer> {
      const [toThread, input] = createChunkChannel(SLOTS, SLOT_BYTES);
      const [output, fromThread] = createChunkChannel(SLOTS, SLOT_BYTES);
      post({ task: 'seal', options, input, output } satisfies SealTask, [input.port, output.port]);
      let sourceFailure: { error: unknown } | undefined;
      const sending = sendChunks(toThread, original.stream).catch((error: unknown) => {
        sourceFailure = { error };
      });
      try {
        yield* receiveChunks(fromThread, (conclusion) => (totals = conclusion as SealTotals));
      } catch (error) {
        throw sourceFailure ? sourceFailure.error : error;
      } finally {
        leaving.abort(new Error('nobody reads the ciphertext'));
      }
      await sending;
      expectEqualCounts(totals, original.bytes(), stored.bytes());
    }

    const stored = counted(ciphertext());
    return {
      ciphertext: stored.stream,
      totals: () => ({
        originalBytes: original.bytes(),
        compressedBytes: totals?.compressedBytes ?? 0,
        storedBytes: stored.bytes(),
      }),
    };
  };

const openVia =
  (post: Post): typeof openPart =>
  async (manifest, part, ciphertext, { openingKeys, pgRestore, signal }: OpenPartOptions) => {
    signal?.throwIfAborted();
    const [toThread, input] = createChunkChannel(SLOTS, SLOT_BYTES);
    const { port1: reply, port2: theirs } = new MessageChannel();
    const verdict = new Promise<OpenVerdict>((resolve, reject) => {
      reply.once('message', resolve);
      reply.once('close', () => reject(new Error('the thread that read the part ended')));
    });
    verdict.catch(() => undefined);
    const task: OpenTask = { task: 'open', manifest, part, openingKeys, pgRestore, input, reply: theirs };
    post(task, [input.port, theirs]);
    const onAbort = () => reply.close();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const [sent, answered] = await Promise.allSettled([sendChunks(toThread, abortable(ciphertext, signal)), verdict]);
      signal?.throwIfAborted();
      if (sent.status === 'rejected') throw sent.reason;
      if (answered.status === 'rejected') throw answered.reason;
      if (answered.value.failure) throw unpackError(answered.value.failure);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      reply.close();
    }
  };

/** What left here must be what was sealed there, and what was sealed there must have come here. */
function expectEqualCounts(totals: SealTotals | undefined, originalBytes: number, storedBytes: number): void {
  if (totals?.originalBytes === originalBytes && totals.storedBytes === storedBytes) return;
  throw new HoldfastError(
    'Unexpected',
    `${originalBytes} bytes were sent to be sealed and ${storedBytes} came back; the other thread counted ` +
      `${totals?.originalBytes} and ${totals?.storedBytes}.`,
  );
}

function anyOf(signal: AbortSignal | undefined, own: AbortSignal): AbortSignal {
  return signal ? AbortSignal.any([signal, own]) : own;
}
