import pLimit from 'p-limit';
import { messageOf } from '../errors.ts';
import { backupPrefix, manifestKey } from '../repository/layout.ts';
import type { Backend, PendingUpload, StoredObject } from '../storage/backend.ts';
import { PROBE_PREFIX } from '../storage/probe/probeKeys.ts';
import { tooYoung } from './age.ts';
import type { FindClaim } from './claims.ts';
import { findRemnants, isPartKey, type FoundRemnant } from './findRemnants.ts';
import { writerFinder, type AskLiveRuns, type FindWriter } from './liveRuns.ts';
import { openReport, type SweepListener } from './report.ts';
import type { Remnant, SweepReport, SweepRules } from './run.ts';

export interface SweepBackendOptions extends SweepRules, SweepListener {
  readonly backend: Backend;
  /** Names of the configured sources. Another Holdfast may share the storage, and its runs are not ours to judge. */
  readonly sources: readonly string[];
  readonly liveRuns: AskLiveRuns;
  readonly findClaim: FindClaim;
  readonly now: Date;
  readonly signal: AbortSignal;
}

/** Deletions side by side. */
const AT_ONCE = 8;
/** A probe is done in minutes and no run stands behind it that could be asked for. */
const LEAST_PROBE_AGE = 3_600_000;

/**
 * Removes from a backend what dead runs left: uploads under way, and objects beside which no manifest stands. Removed is
 * only what is old enough and what no run can still write. One thing that cannot be removed keeps nothing else from it.
 * Rejects when it cannot be known what is there, or which runs are under way.
 */
export async function sweepBackend(options: SweepBackendOptions): Promise<SweepReport> {
  const { backend, signal } = options;
  const { remnants, probeObjects, probeUploads, foreign } = await findRemnants(backend, signal);
  const report = openReport(`backend ${backend.name}`, options, foreign);
  const context: SweepContext = { ...options, ...report, findWriter: writerFinder(options.liveRuns) };
  for (const remnant of remnants) {
    signal.throwIfAborted();
    await sweepRemnant(context, remnant);
  }
  await sweepProbes(context, probeObjects, probeUploads);
  return report.finish();
}

interface SweepContext extends SweepBackendOptions {
  readonly findWriter: FindWriter;
}

async function sweepRemnant(context: SweepContext, remnant: FoundRemnant): Promise<void> {
  const entry = entryOf(remnant);
  const why = await reasonToKeep(context, remnant);
  if (why !== undefined) {
    context.onKept({ ...entry, why });
    return;
  }
  const claim = remnant.objects > 0 && !remnant.published ? await context.findClaim(remnant.location) : undefined;
  if (claim !== undefined) context.onKept({ ...entry, uploads: 0, why: claim });
  const takesObjects = claim === undefined && !remnant.published;
  if (!takesObjects && remnant.uploads.length === 0) return;
  const removed: Remnant = context.dryRun
    ? { ...entry, ...(!takesObjects && { objects: 0, bytes: 0 }) }
    : await remove(context, remnant, takesObjects);
  if (removed.objects + removed.uploads > 0) context.onSwept(removed);
}

async function reasonToKeep(context: SweepContext, remnant: FoundRemnant): Promise<string | undefined> {
  const { location, changedAt } = remnant;
  if (!context.sources.includes(location.source)) {
    return `the source ${location.source} is not in this configuration; another Holdfast may write there`;
  }
  const young = tooYoung({ backup: location.backup, changedAt }, context.minimumAge, context.now);
  if (young !== undefined) return young;
  const writer = await context.findWriter(location);
  return writer === undefined ? undefined : `${writer} is under way and may write there`;
}

/** Uploads first, so that none becomes an object behind our back. Only what is of our layout. */
async function remove(context: SweepContext, remnant: FoundRemnant, takesObjects: boolean): Promise<Remnant> {
  const { backend, signal } = context;
  const folder = backupPrefix(remnant.location);
  const removed = { folder, objects: 0, uploads: 0, bytes: 0 };
  const uploads = await removeAll(context, remnant.uploads, (upload) => backend.abortUpload(upload, signal));
  removed.uploads = uploads.length;
  if (!takesObjects) return removed;
  // Listed again, for much may have been said and done since the first time.
  const objects: StoredObject[] = [];
  try {
    if ((await backend.head(manifestKey(remnant.location), signal)) !== undefined) return removed;
    for await (const object of backend.list(folder, signal)) if (isPartKey(object.key)) objects.push(object);
  } catch (error) {
    signal.throwIfAborted();
    context.onProblem(messageOf(error));
    return removed;
  }
  const deleted = await removeAll(context, objects, ({ key }) => backend.delete(key, signal));
  removed.objects = deleted.length;
  removed.bytes = deleted.reduce((sum, { bytes }) => sum + bytes, 0);
  return removed;
}

async function sweepProbes(
  context: SweepContext,
  objects: readonly StoredObject[],
  uploads: readonly PendingUpload[],
): Promise<void> {
  const { backend, signal, now } = context;
  const oldest = now.getTime() - Math.max(context.minimumAge, LEAST_PROBE_AGE);
  const oldObjects = objects.filter(({ modifiedAt }) => modifiedAt.getTime() <= oldest);
  const oldUploads = uploads.filter(({ begunAt }) => begunAt.getTime() <= oldest);
  const removed = context.dryRun
    ? { objects: oldObjects, uploads: oldUploads }
    : {
        uploads: await removeAll(context, oldUploads, (upload) => backend.abortUpload(upload, signal)),
        objects: await removeAll(context, oldObjects, ({ key }) => backend.delete(key, signal)),
      };
  if (removed.objects.length + removed.uploads.length === 0) return;
  context.onSwept({
    folder: PROBE_PREFIX,
    objects: removed.objects.length,
    uploads: removed.uploads.length,
    bytes: removed.objects.reduce((sum, { bytes }) => sum + bytes, 0),
  });
}

/** Gives what was removed; what could not be is a problem, and no reason to stop. */
async function removeAll<Thing>(
  { signal, onProblem }: SweepContext,
  things: readonly Thing[],
  removeOne: (thing: Thing) => Promise<void>,
): Promise<Thing[]> {
  const slots = pLimit(AT_ONCE);
  const removed = await slots.map(things, async (thing) => {
    try {
      signal.throwIfAborted();
      await removeOne(thing);
      return [thing];
    } catch (error) {
      signal.throwIfAborted();
      onProblem(messageOf(error));
      return [];
    }
  });
  return removed.flat();
}

function entryOf({ location, objects, uploads, bytes }: FoundRemnant): Remnant {
  return { folder: backupPrefix(location), objects, uploads: uploads.length, bytes };
}
