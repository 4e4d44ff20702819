import { isHoldfastError } from '../errors.ts';
import { backupPrefix } from '../repository/layout.ts';
import type { Manifest } from '../repository/manifest.ts';
import type { KeyedObject } from '../repository/readObjects.ts';
import type { CopyReport } from '../repository/verify.ts';
import type { Backend, PendingUpload } from '../storage/backend.ts';
import { copyObject } from './copyObject.ts';
import { proveCopy, type ProveOptions } from './proveCopy.ts';
import { noGoodCopy, type LostObject } from './proveElsewhere.ts';
import type { Helpers } from './reference.ts';
import type { HealCopyStep } from './run.ts';

export interface FetchOptions extends ProveOptions {
  readonly step: HealCopyStep;
  readonly target: Backend;
  readonly manifest: Manifest;
  readonly wanting: readonly KeyedObject[];
  readonly helpers: Helpers;
  readonly segmentSize: number;
  readonly onDamaged: (backend: string, problem: string) => void;
  /** Whether nothing that this writes may stay where it cannot all be fetched. */
  readonly takeBackOnRefusal: boolean;
}

export interface FetchedObjects {
  /** Names of the backends they came from. */
  readonly from: readonly string[];
  readonly totals: { readonly objects: number; readonly bytes: number; readonly serverSideBytes: number };
  /** Of the whole copy, where it had to be read back already. */
  readonly proof?: CopyReport;
}

/**
 * Brings every wanting object to the target. What a service can copy by itself it does; such an object was read by
 * nobody yet, so the copy is read back, and what turns out wrong then is fetched again, hashed on its way.
 * Throws RefusedForSafety, having taken back what it wrote where that is asked for, when an object is right on no backend.
 */
export async function fetchObjects(options: FetchOptions): Promise<FetchedObjects> {
  const { target, wanting, step, signal } = options;
  const written: KeyedObject[] = [];
  const from = new Set<string>();
  const totals = { objects: 0, bytes: 0, serverSideBytes: 0 };
  const uploads = await pendingUploads(target, step, signal);
  const unread: KeyedObject[] = [];
  try {
    for (const object of wanting) {
      const helper = await copyWithinService(options, object);
      if (helper === undefined) {
        await stream(object);
        continue;
      }
      unread.push(object);
      written.push(object);
      from.add(helper);
      totals.serverSideBytes += object.bytes;
    }
    if (unread.length === 0) return result();
    const proof = await proveCopy(target, options.manifest, options);
    const bad = unread.filter(({ key }) => isBad(proof, key));
    for (const object of bad) {
      totals.serverSideBytes -= object.bytes;
      await stream(object);
    }
    return bad.length === 0 ? { ...result(), proof } : result();
  } catch (error) {
    const refused = isHoldfastError(error, 'RefusedForSafety');
    if (refused && options.takeBackOnRefusal) await takeBack(target, written, uploads, signal);
    throw error;
  }

  async function stream(object: KeyedObject): Promise<void> {
    const helper = await streamFromAny(options, object, uploads);
    written.push(object);
    from.add(helper);
  }

  function result(): FetchedObjects {
    const distinct = [...new Map(written.map((object) => [object.key, object])).values()];
    totals.objects = distinct.length;
    totals.bytes = distinct.reduce((sum, { bytes }) => sum + bytes, 0);
    return { from: [...from], totals };
  }
}

/** The name of the backend whose service copied the object by itself, or undefined where none could. */
async function copyWithinService({ target, helpers, signal }: FetchOptions, object: KeyedObject) {
  for (const { name, backend, manifest } of helpers.all) {
    // Unread, so only from where the manifest at least says that the copy is there.
    if (!backend?.addressOf || !manifest || !target.copyWithin) continue;
    if ((await backend.head(object.key, signal).catch(() => undefined))?.bytes !== object.bytes) continue;
    const address = backend.addressOf(object.key);
    if ((await target.copyWithin(address, object.key, object.bytes, signal)) === 'copied') return name;
  }
  return undefined;
}

async function streamFromAny(
  { step, manifest, target, helpers, segmentSize, signal, onProgress, onDamaged }: FetchOptions,
  object: KeyedObject,
  uploads: Map<string, PendingUpload>,
): Promise<string> {
  const lost: LostObject & { problems: string[] } = { object, problems: [] };
  let { someSilent } = helpers;
  for (const { name, backend, manifest: claimed } of helpers.all) {
    if (backend === undefined) continue;
    let sent = 0;
    const resume = uploads.get(object.key)?.locator;
    const onBytes = (bytes: number) => onProgress?.((sent += bytes));
    const copied = await copyObject({ source: backend, target, object, segmentSize, resume, signal, onBytes });
    uploads.delete(object.key);
    if (copied.outcome === 'copied') return name;
    const { problem } = copied;
    const damaged = problem.type === 'ObjectMissing' || problem.type === 'ObjectDamaged';
    someSilent ||= !damaged;
    if (claimed && damaged) onDamaged(name, problem.message);
    lost.problems.push(problem.message);
  }
  throw noGoodCopy(step, manifest, [lost], someSilent);
}

/** Uploads of this copy that an earlier try left: the newest of each object is gone on with, the others are aborted. */
async function pendingUploads(target: Backend, { location }: HealCopyStep, signal: AbortSignal) {
  const newest = new Map<string, PendingUpload>();
  for await (const upload of target.listUploads(backupPrefix(location), signal)) {
    const older = newest.get(upload.key);
    if (older) await target.abortUpload(older, signal);
    newest.set(upload.key, upload);
  }
  return newest;
}

/** Only what this call itself wrote: anything that lay there before may be the last good piece of its kind. */
async function takeBack(
  target: Backend,
  written: readonly KeyedObject[],
  uploads: ReadonlyMap<string, PendingUpload>,
  signal: AbortSignal,
): Promise<void> {
  for (const upload of uploads.values()) await target.abortUpload(upload, signal);
  for (const { key } of written) await target.delete(key, signal);
}

function isBad({ parts }: CopyReport, key: string): boolean {
  return parts.some(({ objects }) => objects.some((object) => object.key === key && object.problem));
}
