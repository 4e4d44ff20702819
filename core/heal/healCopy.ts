import type { Backends, Keys } from '../config/open.ts';
import { publishCopy } from '../backup/publishCopy.ts';
import { HoldfastError, isHoldfastError } from '../errors.ts';
import { backupPrefix, manifestKey } from '../repository/layout.ts';
import type { Manifest } from '../repository/manifest.ts';
import { readManifestBytes } from '../repository/readManifest.ts';
import { keyedObjects, type KeyedObject } from '../repository/readObjects.ts';
import { verifyStored, type CopyReport } from '../repository/verify.ts';
import type { CheckingKey } from '../seal/keys.ts';
import { noCheckingKey } from '../seal/noCheckingKey.ts';
import type { Backend } from '../storage/backend.ts';
import { fetchObjects } from './fetchObjects.ts';
import { proveCopy, type ProveOptions } from './proveCopy.ts';
import { proveElsewhere, type DamageListener } from './proveElsewhere.ts';
import { agreedManifest, askHelpers } from './reference.ts';
import type { CopyHealing, HealCopyStep } from './run.ts';

export interface HealCopyOptions extends ProveOptions, DamageListener {
  readonly step: HealCopyStep;
  readonly backends: Backends;
  readonly keys: Keys;
  /** Bytes. */
  readonly segmentSize: number;
}

/**
 * Makes one copy whole, from the copies on other backends, object by object, and from what is still right of itself.
 *
 * Order: the copy is read; what it lacks is fetched, each object from a backend where it is right; the whole copy is read
 * back; its manifest, the same bytes as everywhere, is published last. A copy that still has a manifest keeps it, and
 * every object, until all that it lacks was proven by read-back elsewhere in this very call; then its manifest goes first.
 * Whenever this ends in the middle, doing it again goes on.
 *
 * Throws RefusedForSafety where it cannot be done without losing something, above all without a good copy of every object;
 * BackendUnreachable or BackendRefused where it may be possible another time.
 */
export async function healCopy(options: HealCopyOptions): Promise<CopyHealing> {
  const begun = performance.now();
  const { step, backends, signal } = options;
  const checkingKeys = await options.keys.checking();
  if (checkingKeys.length === 0) throw noCheckingKey();
  const target = await backends.get(step.backend);
  const helpers = await askHelpers({ ...step, backends, checkingKeys, signal });
  const own = await ownManifest(target, step, checkingKeys, signal);
  const elsewhere = helpers.all.flatMap(({ name, manifest }) => (manifest ? [{ name, manifest }] : []));
  const holders = own.manifest ? [{ name: target.name, manifest: own.manifest }, ...elsewhere] : elsewhere;
  const published = agreedManifest(manifestKey(step.location), holders);
  if (published === undefined) throw noManifest(step, helpers.someSilent);
  const { manifest } = published;

  const found = await inspect(target, manifest, own.manifest !== undefined, options);
  const wanting = wantingObjects(manifest, found);
  refuseBadParts(found, wanting);
  const ended = (
    outcome: CopyHealing['outcome'],
    work: Omit<CopyHealing, 'outcome' | 'copyBytes' | 'duration' | 'at'>,
  ) => ({
    outcome,
    ...work,
    copyBytes: manifest.parts.reduce((sum, part) => sum + part.storedBytes, 0),
    duration: Math.round(performance.now() - begun),
    at: new Date().toISOString(),
  });
  if (own.manifest && wanting.length === 0) {
    return ended('whole', { from: [], objects: 0, bytes: 0, serverSideBytes: 0, depth: found.depth });
  }

  if (own.present) {
    // The last good word about this backup must not be this one.
    if (elsewhere.length === 0) throw noManifest(step, helpers.someSilent);
    await proveElsewhere(step, manifest, wanting, helpers, options);
    await target.delete(manifestKey(step.location), signal);
  }
  const takeBackOnRefusal = !own.present;
  const fetched = await fetchObjects({ ...options, target, manifest, wanting, helpers, takeBackOnRefusal });
  const proof = fetched.proof ?? (await proveCopy(target, manifest, options));
  const [problem] = proof.problems;
  if (problem) throw problem;
  await publishCopy(target, step.location, published, signal);
  await expectNoUploads(target, step, signal);
  const from = fetched.from.length > 0 ? fetched.from : [target.name];
  return ended('healed', { ...fetched.totals, from, depth: proof.depth });
}

interface OwnManifest {
  /** Whether anything stands under its key. */
  readonly present: boolean;
  readonly manifest?: { readonly manifest: Manifest; readonly bytes: Buffer };
}

async function ownManifest(
  target: Backend,
  { location }: HealCopyStep,
  checkingKeys: readonly CheckingKey[],
  signal: AbortSignal,
): Promise<OwnManifest> {
  try {
    return { present: true, manifest: await readManifestBytes(target, location, checkingKeys, signal) };
  } catch (error) {
    if (isHoldfastError(error, 'ObjectMissing')) return { present: false };
    if (isHoldfastError(error, 'ManifestInvalid')) return { present: true };
    // Signed by a key that is not at hand: nobody here can say that it is wrong.
    throw error;
  }
}

/**
 * A copy that claims to be whole is looked at as closely as asked, and one that an earlier look found damaged or that
 * nobody opened, as closely as can be: bytes that are right may not open. Of another only what can be kept has to be known.
 */
async function inspect(
  target: Backend,
  manifest: Manifest,
  claimsToBeWhole: boolean,
  options: HealCopyOptions,
): Promise<CopyReport> {
  const { depth, condition, unopened } = options.step;
  const closely = depth === 'opened' || condition === 'damaged' || unopened;
  if (claimsToBeWhole && closely) return proveCopy(target, manifest, options);
  return verifyStored(target, manifest, { signal: options.signal, onProgress: options.onProgress });
}

function wantingObjects(manifest: Manifest, { parts }: CopyReport): KeyedObject[] {
  const bad = new Set(parts.flatMap(({ objects }) => objects.filter(({ problem }) => problem).map(({ key }) => key)));
  return manifest.parts.flatMap((part) => keyedObjects(manifest, part)).filter(({ key }) => bad.has(key));
}

/** Bytes that are right and yet do not open were wrong when they were written; they are the same everywhere. */
function refuseBadParts({ parts }: CopyReport, wanting: readonly KeyedObject[]): void {
  const problem = parts.find((part) => part.problem)?.problem;
  if (problem === undefined || wanting.length > 0) return;
  throw new HoldfastError('RefusedForSafety', `${problem.message}, though every byte is the one that was written`, {
    advice: 'No copy can mend it. Make a new backup, and look at `holdfast show` for the versions that made this one.',
    cause: problem,
  });
}

/** What an earlier try began and this one did not need. */
async function expectNoUploads(target: Backend, { location }: HealCopyStep, signal: AbortSignal): Promise<void> {
  for await (const upload of target.listUploads(backupPrefix(location), signal)) {
    await target.abortUpload(upload, signal);
  }
}

function noManifest({ location, backend, candidates }: HealCopyStep, someSilent: boolean): HoldfastError {
  const where = [backend, ...candidates].join(', ');
  if (someSilent) {
    return new HoldfastError(
      'BackendUnreachable',
      `No backend that answers holds a right manifest of ${location.backup} beside ${backend}; others do not answer.`,
      { advice: 'It goes on when they are back.' },
    );
  }
  return new HoldfastError(
    'RefusedForSafety',
    `No right manifest of ${location.backup} was found to heal ${backend} from; looked on ${where}.`,
    { advice: 'Nothing was changed. What lies there may still be read with `holdfast recover`.' },
  );
}
