import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, HoldfastError } from '../errors.ts';
import { formatBytes, formatDuration } from '../format.ts';
import { readDeliveries, type DeliveryReader } from './deliveries.ts';
import { segmentFile } from './journal.ts';
import { noteLeaving, readLeaving } from './leaving.ts';
import { spoolFailure, type Spool } from './spool.ts';

/** Who is sent an attempt while it is written, and how long the writer may have to wait for them. */
export interface Receivers {
  readonly backends: readonly string[];
  /** So many of them are waited for; without them the backup would not count. */
  readonly required: number;
  /** Parts written at once. What they hold cannot be sent yet, so they may hold it whatever else is in the spool. */
  readonly openParts: number;
  /** Milliseconds to wait while no backend takes anything. */
  readonly patience: number;
  /** Milliseconds the writer waits for a backend that is far behind. */
  readonly grace?: number;
  readonly signal: AbortSignal;
}

/** The room that an attempt has in the spool. */
export interface SpoolRoom {
  /**
   * Resolves when so many more bytes may be written. At the limit, what every backend has goes first; then a backend that
   * is far behind is left behind; then it waits. Rejects with `SpoolFailed` when nobody takes anything for too long, or
   * the signal's reason.
   */
  take(bytes: number): Promise<void>;
  /** Tells of a segment that can be sent, and so removed, from now on. */
  add(segment: SpooledSegment): void;
}

export interface SpooledSegment {
  readonly object: string;
  readonly number: number;
  readonly bytes: number;
}

const POLL_INTERVAL = 100;
const OTHERS_INTERVAL = 5_000;
const GRACE = 2_000;
/** A backend this much of the limit behind the fastest is far behind: what only it still needs is what fills the spool. */
const FAR_BEHIND = 1 / 4;
/** Segments that two equally fast backends may well be apart. */
const CLOSE_SEGMENTS = 2;

interface Standing {
  readonly backend: string;
  readonly deliveries: DeliveryReader;
}

export async function openRoom(
  spool: Spool,
  backup: string,
  directory: string,
  receivers: Receivers,
): Promise<SpoolRoom> {
  const { signal } = receivers;
  const least = 2 * receivers.openParts * spool.segmentSize;
  const standings = receivers.backends.map((backend) => ({
    backend,
    deliveries: readDeliveries(directory, backend),
  }));
  let held: SpooledSegment[] = [];
  let own = 0;
  let others = await bytesOfOthers(spool, backup);
  let waiting: Promise<void> | undefined;

  const fits = (bytes: number) => own + bytes <= least || own + others + bytes <= spool.limit;

  /** Oldest first, and no more than is needed: a backend that has to begin an object anew may still want the rest. */
  const removeDelivered = async (bytes: number, racing: readonly Standing[]) => {
    const kept: SpooledSegment[] = [];
    for (const segment of held) {
      const { object, number } = segment;
      if (fits(bytes) || !racing.every(({ deliveries }) => deliveries.has(object, number))) {
        kept.push(segment);
        continue;
      }
      await removeFile(path.join(directory, segmentFile(object, number)));
      own -= segment.bytes;
    }
    held = kept;
  };

  const makeRoom = async (bytes: number) => {
    const begun = Date.now();
    let measured = begun;
    let lastMovement = begun;
    let lastTotal = -1;
    for (;;) {
      signal.throwIfAborted();
      const racing = await stillRacing(spool, backup, standings);
      if (racing.length === 0) throw nobodyTakes(spool);
      await removeDelivered(bytes, racing);
      if (fits(bytes)) return;
      const now = Date.now();
      const total = racing.reduce((sum, { deliveries }) => sum + deliveries.bytes, 0);
      if (total !== lastTotal) [lastTotal, lastMovement] = [total, now];
      const stuck = now - lastMovement >= receivers.patience;
      const late = now - begun >= (receivers.grace ?? GRACE);
      const slowest = late || stuck ? leaver(racing, receivers.required, spool, stuck) : undefined;
      if (slowest !== undefined) {
        const bytesBehind = held.reduce(
          (sum, { object, number, bytes: size }) => sum + (slowest.deliveries.has(object, number) ? 0 : size),
          0,
        );
        await noteLeaving(spool, backup, slowest.backend, { reason: 'behind', bytes: bytesBehind, limit: spool.limit });
        lastTotal = -1;
        continue;
      }
      if (stuck) throw nobodyMoves(spool, racing, receivers.patience, others);
      if (now - measured >= OTHERS_INTERVAL) {
        others = await bytesOfOthers(spool, backup);
        measured = Date.now();
      }
      await pause(signal);
    }
  };

  return {
    async take(bytes) {
      while (!fits(bytes)) await (waiting ??= makeRoom(bytes).finally(() => (waiting = undefined)));
      own += bytes;
    },
    add: (segment) => void held.push(segment),
  };
}

/** The backends that are still being sent the backup, with what each has by now. */
async function stillRacing(spool: Spool, backup: string, standings: readonly Standing[]): Promise<Standing[]> {
  const racing: Standing[] = [];
  for (const standing of standings) {
    if ((await readLeaving(spool, backup, standing.backend)) !== undefined) continue;
    await standing.deliveries.refresh();
    racing.push(standing);
  }
  return racing;
}

/**
 * Whom to leave behind: the slowest, where it is far behind and more than enough others are there; when nobody moves at
 * all, the slowest as long as there is another.
 */
function leaver(racing: readonly Standing[], required: number, spool: Spool, stuck: boolean): Standing | undefined {
  const ordered = racing.toSorted((left, right) => left.deliveries.bytes - right.deliveries.bytes);
  const [slowest, fastest] = [ordered[0], ordered.at(-1)];
  if (slowest === undefined || fastest === undefined || slowest === fastest) return undefined;
  const lag = fastest.deliveries.bytes - slowest.deliveries.bytes;
  if (stuck) return lag > 0 ? slowest : undefined;
  const far = Math.max(spool.limit * FAR_BEHIND, CLOSE_SEGMENTS * spool.segmentSize);
  return racing.length > Math.max(1, required) && lag >= far ? slowest : undefined;
}

/** What other backups hold in the spool. A file that goes away meanwhile is none. */
async function bytesOfOthers(spool: Spool, backup: string): Promise<number> {
  try {
    const entries = await readdir(spool.path, { recursive: true, withFileTypes: true });
    const own = path.join(spool.path, backup);
    const files = entries.filter(
      ({ name, parentPath }) => name.endsWith('.segment') && !`${parentPath}/`.startsWith(`${own}/`),
    );
    let bytes = 0;
    for (const { name, parentPath } of files) bytes += await sizeOf(path.join(parentPath, name));
    return bytes;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return bytesOfOthers(spool, backup);
    throw spoolFailure(error, spool.path);
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 0;
    throw error;
  }
}

async function removeFile(file: string): Promise<void> {
  try {
    await rm(file, { force: true });
  } catch (error) {
    throw spoolFailure(error, file);
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  try {
    await sleep(POLL_INTERVAL, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

function nobodyTakes(spool: Spool): HoldfastError {
  return new HoldfastError(
    'SpoolFailed',
    `The spool at ${spool.path} reached its limit of ${formatBytes(spool.limit)}, and no backend is being sent what it holds.`,
    { advice: 'Look at why the uploads ended, or raise spool.limit.', retryable: false },
  );
}

function nobodyMoves(spool: Spool, racing: readonly Standing[], patience: number, others: number): HoldfastError {
  const names = racing.map(({ backend }) => backend).join(', ');
  const beside = others > 0 ? ` Other backups hold ${formatBytes(others)} of it.` : '';
  return new HoldfastError(
    'SpoolFailed',
    `The spool at ${spool.path} reached its limit of ${formatBytes(spool.limit)}, and ${names} took nothing for ` +
      `${formatDuration(patience)}.${beside}`,
    { advice: 'Look at why the storage takes nothing, or raise spool.limit.', retryable: false },
  );
}
