import { appendFile, mkdir, open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { codeOf } from '../errors.ts';
import { spoolFailure } from './spool.ts';

/*
 * What each backend has of an attempt. Uploads note it in the attempt's directory, because they and the dump may run in
 * different processes of the host; the dump reads it when the spool is full, to see what nobody needs any more.
 */

const delivery = z.discriminatedUnion('type', [
  z.object({ type: z.literal('segment'), object: z.string(), number: z.int(), bytes: z.int() }),
  /** The object stands on the backend, whole. */
  z.object({ type: z.literal('object'), object: z.string() }),
  /** The backend lost what it had of the object: all of it is sent again. */
  z.object({ type: z.literal('restart'), object: z.string() }),
]);

type Delivery = z.infer<typeof delivery>;

/** One backend's notes, as its upload writes them. */
export interface DeliveryNotes {
  /** Whether an earlier try saw the object whole on the backend. */
  isComplete(object: string): boolean;
  segment(segment: { readonly object: string; readonly number: number; readonly bytes: number }): Promise<void>;
  complete(object: string): Promise<void>;
  restart(object: string): Promise<void>;
}

/** Opens the notes of a backend in an attempt's directory. Rejects with `SpoolFailed`. */
export async function openDeliveryNotes(directory: string, backend: string): Promise<DeliveryNotes> {
  const file = notesFile(directory, backend);
  const known = readNotes(await readIfThere(file));
  const append = async (entry: Delivery) => {
    apply(known, entry);
    try {
      await makeNotesFolder(directory, backend);
      await appendFile(file, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
    } catch (error) {
      throw spoolFailure(error, directory);
    }
  };
  return {
    isComplete: (object) => known.complete.has(object),
    segment: async ({ object, number, bytes }) => {
      if (known.segments.get(object)?.has(number)) return;
      await append({ type: 'segment', object, number, bytes });
    },
    complete: (object) => append({ type: 'object', object }),
    restart: async (object) => {
      if (known.segments.has(object) || known.complete.has(object)) await append({ type: 'restart', object });
    },
  };
}

/** Where the notes on one backend of an attempt are. */
export function notesFolder(directory: string, backend: string): string {
  return path.join(directory, 'uploads', backend);
}

/** Makes that folder, but not the attempt's: one that was removed meanwhile must not come back. */
export async function makeNotesFolder(directory: string, backend: string): Promise<void> {
  for (const folder of [path.join(directory, 'uploads'), notesFolder(directory, backend)]) {
    await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
      if (codeOf(error) !== 'EEXIST') throw error;
    });
  }
}

/** What a backend has, followed while its upload goes on. */
export interface DeliveryReader {
  /** Reads what was noted since the last time. Rejects with `SpoolFailed`. */
  refresh(): Promise<void>;
  has(object: string, number: number): boolean;
  /** Bytes of the attempt that the backend has. */
  readonly bytes: number;
}

export function readDeliveries(directory: string, backend: string): DeliveryReader {
  const file = notesFile(directory, backend);
  const known = readNotes('');
  let offset = 0;
  return {
    get bytes() {
      return known.bytes;
    },
    has: (object, number) => known.segments.get(object)?.has(number) === true,
    async refresh() {
      const text = await readFrom(file, offset);
      const whole = text.subarray(0, text.lastIndexOf(0x0a) + 1);
      offset += whole.length;
      for (const entry of entriesIn(whole.toString('utf8'))) apply(known, entry);
    },
  };
}

interface Known {
  bytes: number;
  /** Bytes by number, by object. */
  readonly segments: Map<string, Map<number, number>>;
  readonly complete: Set<string>;
}

function readNotes(text: string): Known {
  const known: Known = { bytes: 0, segments: new Map(), complete: new Set() };
  for (const entry of entriesIn(text)) apply(known, entry);
  return known;
}

function apply(known: Known, entry: Delivery): void {
  const segments = known.segments.get(entry.object) ?? new Map<number, number>();
  if (entry.type === 'object') known.complete.add(entry.object);
  if (entry.type === 'segment') {
    known.bytes += entry.bytes - (segments.get(entry.number) ?? 0);
    known.segments.set(entry.object, segments.set(entry.number, entry.bytes));
  }
  if (entry.type === 'restart') {
    for (const bytes of segments.values()) known.bytes -= bytes;
    known.segments.delete(entry.object);
    known.complete.delete(entry.object);
  }
}

/** A line that a killed worker left unfinished says nothing: its segment is only kept longer, or looked up again. */
function entriesIn(text: string): Delivery[] {
  return text.split('\n').flatMap((line) => {
    const parsed = delivery.safeParse(jsonOf(line));
    return parsed.success ? [parsed.data] : [];
  });
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function notesFile(directory: string, backend: string): string {
  return path.join(notesFolder(directory, backend), 'delivered.jsonl');
}

async function readIfThere(file: string): Promise<string> {
  return (await readFrom(file, 0)).toString('utf8');
}

async function readFrom(file: string, offset: number): Promise<Buffer> {
  try {
    if (offset === 0) return await readFile(file);
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(Math.max(0, size - offset)), 0, null, offset);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return Buffer.alloc(0);
    throw spoolFailure(error, file);
  }
}
