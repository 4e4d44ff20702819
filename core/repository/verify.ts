import { HoldfastError, isHoldfastError, type ErrorType } from '../errors.ts';
import type { OpeningKey } from '../seal/keys.ts';
import type { Backend } from '../storage/backend.ts';
import { drain, leftOpen, type LeftOpen } from './asyncItems.ts';
import type { Manifest, ManifestPart } from './manifest.ts';
import { openPart } from './openPart.ts';
import { keyedObjects, readObjects, type ObjectFinding } from './readObjects.ts';

/** What a look at one copy found. */
export interface CopyReport {
  readonly backend: string;
  readonly depth: 'stored' | 'opened';
  readonly parts: readonly PartReport[];
  /** Bytes read. */
  readonly bytes: number;
  readonly durationMs: number;
  /** Everything that is wrong, in the order of the manifest; empty for a good copy. */
  readonly problems: readonly HoldfastError[];
}

export interface PartReport {
  readonly part: string;
  readonly objects: readonly ObjectFinding[];
  /** Why the part does not open although its objects are whole; always undefined at depth `stored`. */
  readonly problem?: HoldfastError | undefined;
}

export interface VerifyOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called often, with the bytes read so far and those of the whole copy. */
  readonly onProgress?: ((bytesRead: number, bytesTotal: number) => void) | undefined;
}

export interface OpenOptions extends VerifyOptions {
  readonly openingKeys: readonly OpeningKey[];
  /** Path of a pg_restore at least as new as the pg_dump that wrote the backup; needed where it holds a dump. */
  readonly pgRestore: string | undefined;
  /** Unset: on this thread. */
  readonly openPart?: typeof openPart | undefined;
}

/**
 * Depth `stored`: reads every object of a copy and holds its size and SHA-256 against the manifest. What is wrong with
 * the copy is in the report; what keeps from looking (BackendUnreachable, BackendRefused) is thrown.
 */
export function verifyStored(backend: Backend, manifest: Manifest, options: VerifyOptions = {}): Promise<CopyReport> {
  return verifyCopy(backend, manifest, 'stored', options, async () => undefined);
}

/**
 * Depth `opened`, and `stored` in the same pass: every object is read once, and while it is hashed it is decrypted,
 * decompressed and read in its own format to the end. What is wrong with the copy is in the report; what keeps from
 * looking (BackendUnreachable, BackendRefused, KeyMissing, ToolMissing) is thrown.
 */
export function openCopy(backend: Backend, manifest: Manifest, options: OpenOptions): Promise<CopyReport> {
  return verifyCopy(backend, manifest, 'opened', options, (part, ciphertext) =>
    (options.openPart ?? openPart)(manifest, part, ciphertext, options),
  );
}

/** Parts read side by side: while one waits for its program or the network, the other goes on. */
const PARTS_AT_ONCE = 2;

/** What says something about the copy. Every other error says that the look itself failed. */
const VERDICTS: readonly ErrorType[] = ['ObjectMissing', 'ObjectDamaged', 'DumpFailed', 'ManifestInvalid'];

type Opening = (part: ManifestPart, ciphertext: AsyncIterable<Buffer>) => Promise<void>;

async function verifyCopy(
  backend: Backend,
  manifest: Manifest,
  depth: CopyReport['depth'],
  options: VerifyOptions,
  open: Opening,
): Promise<CopyReport> {
  const startedAt = performance.now();
  const total = manifest.parts.reduce((sum, part) => sum + part.storedBytes, 0);
  let bytes = 0;
  const onBytes = (count: number) => {
    bytes += count;
    options.onProgress?.(bytes, total);
  };
  // One part's failed look ends the others': nobody would read their reports.
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const parts = await sideBySide(manifest.parts, PARTS_AT_ONCE, async (part) => {
    try {
      return await verifyPart(backend, manifest, part, { onBytes, signal }, open);
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  });
  const problems = parts.flatMap((part) => [
    ...part.objects.flatMap((object) => object.problem ?? []),
    ...(part.problem ? [part.problem] : []),
  ]);
  return { backend: backend.name, depth, parts, bytes, durationMs: performance.now() - startedAt, problems };
}

async function verifyPart(
  backend: Backend,
  manifest: Manifest,
  part: ManifestPart,
  options: { onBytes: (bytes: number) => void; signal: AbortSignal },
  open: Opening,
): Promise<PartReport> {
  const objects: ObjectFinding[] = [];
  const ciphertext = readObjects(backend, keyedObjects(manifest, part), (found) => objects.push(found), options);
  const source = leftOpen(ciphertext);
  try {
    const verdict = await verdictOf(open(part, source), source);
    // What the opening left unread still gets its own verdict.
    await drain(ciphertext);
    // A damaged object explains why its part does not open; saying both would only blur it.
    const damaged = objects.some((object) => object.problem);
    return { part: part.part, objects, problem: damaged || !verdict ? undefined : onBackend(verdict, backend) };
  } finally {
    await ciphertext.return();
  }
}

async function verdictOf(opening: Promise<void>, source: LeftOpen<Buffer>): Promise<HoldfastError | undefined> {
  try {
    await opening;
    return undefined;
  } catch (error) {
    if (source.failure) throw source.failure.error;
    if (isHoldfastError(error) && VERDICTS.includes(error.type)) return error;
    throw error;
  }
}

function onBackend(error: HoldfastError, backend: Backend): HoldfastError {
  return new HoldfastError(error.type, `${backend.name}: ${error.message}`, {
    ...(error.advice !== undefined && { advice: error.advice }),
    cause: error,
  });
}

async function sideBySide<In, Out>(
  items: readonly In[],
  limit: number,
  work: (item: In) => Promise<Out>,
): Promise<Out[]> {
  const results: Out[] = [];
  const queue = items.entries();
  const worker = async () => {
    for (const [index, item] of queue) {
      results[index] = await work(item);
    }
  };
  const endings = await Promise.allSettled(Array.from({ length: limit }, worker));
  for (const ending of endings) if (ending.status === 'rejected') throw ending.reason;
  return results;
}
