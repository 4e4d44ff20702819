import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { packError, unpackError, type PackedError } from './packedError.ts';

/**
 * Hands bytes from one thread to another without giving the receiver's garbage collector anything to do: they are
 * copied into slots of memory that both threads see, and only the slots' numbers travel. The receiver closes the port
 * when it is done, however that came about; the sender takes that as "nobody reads on".
 */
export interface ChannelEnd {
  readonly memory: SharedArrayBuffer;
  readonly slotBytes: number;
  readonly port: MessagePort;
}

type FromSender =
  { readonly slot: number; readonly bytes: number } | { readonly end: unknown } | { readonly failure: PackedError };

interface FromReceiver {
  readonly free: number;
}

/** The sender's and the receiver's end of a new channel. */
export function createChunkChannel(slots: number, slotBytes: number): [ChannelEnd, ChannelEnd] {
  const memory = new SharedArrayBuffer(slots * slotBytes);
  const { port1, port2 } = new MessageChannel();
  return [
    { memory, slotBytes, port: port1 },
    { memory, slotBytes, port: port2 },
  ];
}

/**
 * Sends all of `source`, then what `conclusion` says. Resolves early when the receiver is done before. When the source
 * fails the receiver fails too, and this rejects with the source's error.
 */
export async function sendChunks(
  end: ChannelEnd,
  source: AsyncIterable<Uint8Array>,
  conclusion: () => unknown = () => undefined,
): Promise<void> {
  const slots = freeSlots(end);
  const post = (message: FromSender) => end.port.postMessage(message);
  try {
    let slot = await slots.take();
    let filled = 0;
    for await (const chunk of source) {
      for (let offset = 0; offset < chunk.length && slot !== undefined;) {
        const taken = Math.min(end.slotBytes - filled, chunk.length - offset);
        slot.bytes.set(chunk.subarray(offset, offset + taken), filled);
        filled += taken;
        offset += taken;
        if (filled < end.slotBytes) continue;
        post({ slot: slot.number, bytes: filled });
        slot = await slots.take();
        filled = 0;
      }
      if (slot === undefined) return;
    }
    if (slot !== undefined && filled > 0) post({ slot: slot.number, bytes: filled });
    post({ end: conclusion() });
  } catch (error) {
    post({ failure: packError(error) });
    throw error;
  } finally {
    // A process has not to stay because of a channel that only its receiver has to read.
    end.port.unref();
  }
}

/**
 * What the other end sends. A chunk is the sender's again as soon as the next one is asked for: who keeps it longer
 * copies it. Throws the sender's failure, or an Error when the sender is gone before its end. `onEnd` gets the
 * sender's conclusion.
 */
export async function* receiveChunks(
  end: ChannelEnd,
  onEnd?: (conclusion: unknown) => void,
): AsyncGenerator<Buffer, void> {
  const messages = incoming(end.port);
  try {
    for (;;) {
      const message = await messages.next();
      if (message === undefined) throw new Error('the other thread ended before it had sent everything');
      if ('failure' in message) throw unpackError(message.failure);
      if ('end' in message) {
        onEnd?.(message.end);
        return;
      }
      yield Buffer.from(end.memory, message.slot * end.slotBytes, message.bytes);
      end.port.postMessage({ free: message.slot } satisfies FromReceiver);
    }
  } finally {
    end.port.close();
  }
}

interface Slot {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** Slots that nobody reads. `take` waits for one; undefined when the receiver has closed the port. */
function freeSlots(end: ChannelEnd): { take(): Promise<Slot | undefined> } {
  const free: Slot[] = [];
  let closed = false;
  let waiting: ((slot: Slot | undefined) => void) | undefined;
  const give = (number: number) => {
    const slot = { number, bytes: new Uint8Array(end.memory, number * end.slotBytes, end.slotBytes) };
    if (waiting === undefined) free.push(slot);
    else waiting(slot);
    waiting = undefined;
  };
  for (let number = 0; number < end.memory.byteLength / end.slotBytes; number++) give(number);
  end.port.on('message', (message: FromReceiver) => give(message.free));
  end.port.on('close', () => {
    closed = true;
    waiting?.(undefined);
    waiting = undefined;
  });
  return {
    take: async () => (closed ? undefined : (free.shift() ?? new Promise((resolve) => (waiting = resolve)))),
  };
}

/** Messages in their order; undefined once the port is closed. */
function incoming(port: MessagePort): { next(): Promise<FromSender | undefined> } {
  const arrived: FromSender[] = [];
  let closed = false;
  let wake: (() => void) | undefined;
  const stir = () => {
    wake?.();
    wake = undefined;
  };
  port.on('message', (message: FromSender) => {
    arrived.push(message);
    stir();
  });
  port.on('close', () => {
    closed = true;
    stir();
  });
  return {
    next: async () => {
      if (arrived.length === 0 && !closed) await new Promise<void>((resolve) => (wake = resolve));
      return arrived.shift();
    },
  };
}
