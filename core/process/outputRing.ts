import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { createTemporaryDirectory } from './temporaryDirectory.ts';

/**
 * What a program writes, read into one piece of memory that is used again and again. Node's own pipes make a new buffer
 * of every read; at hundreds of megabytes a second the garbage collector then costs more than compression does.
 */
export interface OutputRing {
  /** The program's standard output. Destroy it once the program has it. */
  readonly childEnd: Socket;
  /** Read it once. A chunk is good until the next one is asked for: who keeps it longer copies it. */
  readonly chunks: AsyncGenerator<Buffer, void, undefined>;
  /** Bytes that have come from the program. */
  readonly arrived: () => number;
  /** Bytes that have come and were not yet taken by the reader. */
  readonly unread: () => number;
  /** Resolves when the program's last byte was taken. Rejects when the reader ended it before, or with `stop`'s reason. */
  readonly drained: Promise<void>;
  /** Takes no more; what waits for a chunk gets the end. */
  stop(reason: unknown): void;
}

const RING_BYTES = 512 * 1024;
/** Room that must be free before reading goes on after a pause. */
const LEAST_READ_BYTES = 64 * 1024;
/** Programs write a few kilobytes at a time: after the first bytes this many milliseconds bring a larger chunk. */
const GATHER_MILLISECONDS = 1;

/** Makes the two ends of a connection over a socket in a private directory, of which nothing stays. */
export async function openOutputRing(): Promise<OutputRing> {
  const memory = Buffer.allocUnsafeSlow(RING_BYTES);
  let written = 0;
  let read = 0;
  let paused = false;
  let over = false;
  let wake: (() => void) | undefined;

  const nextPlace = () => {
    const start = written % RING_BYTES;
    // While paused the next read's place is fixed already; it is free again once so much has been taken.
    const free = RING_BYTES - (written - read) || LEAST_READ_BYTES;
    return memory.subarray(start, Math.min(RING_BYTES, start + free));
  };
  const { childEnd, reading } = await connectedPair({
    buffer: nextPlace,
    callback: (bytes) => {
      written += bytes;
      if (wake) setTimeout(wake, GATHER_MILLISECONDS);
      wake = undefined;
      paused = written - read === RING_BYTES;
      return !paused;
    },
  });
  const settled = Promise.withResolvers<void>();
  settled.promise.catch(() => undefined);
  const end = () => {
    over = true;
    wake?.();
    wake = undefined;
  };
  // Why the connection broke is known to the program's exit code; what did not come is missed there.
  reading.once('error', end).once('end', end).once('close', end);
  reading.resume();

  async function* chunks(): AsyncGenerator<Buffer, void, undefined> {
    try {
      for (;;) {
        if (written === read && !over) await new Promise<void>((resolve) => (wake = resolve));
        if (written === read) {
          if (!over) continue;
          if (reading.readableEnded) settled.resolve();
          return;
        }
        const start = read % RING_BYTES;
        const chunk = memory.subarray(start, Math.min(RING_BYTES, start + (written - read)));
        yield chunk;
        read += chunk.length;
        if (paused && RING_BYTES - (written - read) >= LEAST_READ_BYTES) {
          paused = false;
          reading.resume();
        }
      }
    } finally {
      reading.destroy();
      settled.reject(new Error('the output was not read to its end'));
    }
  }

  return {
    childEnd,
    chunks: chunks(),
    arrived: () => written,
    unread: () => written - read,
    drained: settled.promise,
    stop: (reason) => {
      settled.reject(reason);
      reading.destroy();
      end();
    },
  };
}

async function connectedPair(onread: {
  readonly buffer: () => Uint8Array;
  readonly callback: (bytes: number) => boolean;
}): Promise<{ childEnd: Socket; reading: Socket }> {
  // Only its owner can enter it: nobody else can connect in our place.
  const directory = await createTemporaryDirectory();
  const server = createServer({ pauseOnConnect: true });
  try {
    const address = path.join(directory, 'output');
    server.listen(address);
    await once(server, 'listening');
    const accepted = once(server, 'connection');
    const reading = connect({ path: address, onread });
    const [[childEnd]] = (await Promise.all([accepted, once(reading, 'connect')])) as [[Socket], unknown];
    return { childEnd, reading };
  } finally {
    server.close();
    await rm(directory, { recursive: true, force: true });
  }
}
