import type { Catalog } from '../catalog/catalog.ts';
import { listBackups } from '../catalog/read.ts';
import { recentRestores, usualRecovery } from '../catalog/restores.ts';
import { drillServer, sourceNamed, unknownName, type Backends, type Keys } from '../config/open.ts';
import type { Configuration } from '../config/schema.ts';
import { HoldfastError, isHoldfastError } from '../errors.ts';
import type { Manifest } from '../repository/manifest.ts';
import { locationOf } from '../repository/location.ts';
import { backupIndex } from '../restore/choose/backupIndex.ts';
import { notTheNewest } from '../restore/plan/planRows.ts';
import type { AskLiveRuns } from '../sweep/liveRuns.ts';
import { chooseDrill } from './chooseDrill.ts';
import type { DrillAssignment, DrillInput, PastDrill } from './run.ts';

export interface AssignDrillOptions {
  readonly input: DrillInput;
  readonly seed: number;
  readonly configuration: Configuration;
  readonly backends: Backends;
  readonly keys: Keys;
  readonly catalog: () => Promise<Catalog>;
  readonly liveRuns: AskLiveRuns;
  readonly hostQueue: string;
  readonly signal: AbortSignal;
}

/**
 * Decides which copy is tried out, and what of it. Works without a catalog: what only that knows is left out then, and
 * said. Throws InvalidInput for an unknown source, backend or backup, and what `chooseDrill` throws.
 */
export async function assignDrill(options: AssignDrillOptions): Promise<DrillAssignment> {
  const { input, seed, configuration, backends, keys, hostQueue, signal } = options;
  sourceNamed(configuration, input.source);
  const names = Object.keys(configuration.backends);
  if (input.backend !== undefined && !names.includes(input.backend)) throw unknownName('backend', input.backend, names);
  const asked = input.backend === undefined ? names : [input.backend];
  const warnings: string[] = [];
  const known = await fromCatalog(options, warnings, (catalog) => badCopies(catalog, input.source));
  const chosen = await chooseDrill({
    input,
    seed,
    copies: asked.map((backend) => ({ backend, open: () => backends.get(backend) })),
    checkingKeys: await keys.checking(),
    index: backupIndex(options.catalog, options.liveRuns),
    isKnownBad: (backup, backend) => known?.has(`${backup} ${backend}`) ?? false,
    signal,
  });
  const { manifest } = chosen;
  warnings.push(...notTheNewest(manifest.id, chosen.newer));
  warnings.push(...chosen.passedOver.map(({ backend, reason }) => `${backend} was left out: ${reason}`));
  const extent = extentOf(manifest, input);
  // Where there is no server for it, nothing is begun.
  if (extent.database) await drillServer(configuration, input.source);
  const parts = [...(extent.database ? ['database'] : []), ...extent.trees];
  const usual = await fromCatalog(options, warnings, (catalog) => usualRecovery(catalog, input.source, parts));
  const past = await fromCatalog(options, warnings, (catalog) => pastDrills(catalog, input.source));
  return {
    location: locationOf(manifest),
    kind: manifest.kind,
    startedAt: manifest.startedAt,
    manifestSha256: chosen.manifestSha256,
    backend: chosen.backend,
    ...extent,
    ...(usual !== undefined && { usual }),
    past: past ?? [],
    hostQueue,
    takeoverAfter: configuration.spool.takeoverAfter,
    warnings: [...new Set(warnings)],
  };
}

function extentOf(manifest: Manifest, { files }: DrillInput) {
  const trees = manifest.parts.filter(({ tree }) => tree !== undefined);
  const tried = files === false ? [] : trees;
  const database = manifest.database !== undefined;
  if (!database && tried.length === 0) throw nothingToTry(manifest);
  const parts = manifest.parts.filter((part) => part.tree === undefined || tried.includes(part));
  return {
    database,
    trees: tried.map(({ part }) => part),
    partial: tried.length < trees.length,
    bytes: parts.reduce((sum, { originalBytes }) => sum + originalBytes, 0),
  };
}

function nothingToTry({ id }: Manifest): HoldfastError {
  return new HoldfastError('InvalidInput', `Backup ${id} has no database, and its files were to be left out`, {
    advice: 'Try its files too, or choose another backup.',
  });
}

/** Copies that somebody has found damaged or missing since they were published. */
async function badCopies(catalog: Catalog, source: string): Promise<Set<string>> {
  const backups = await listBackups(catalog, { source });
  return new Set(
    backups.flatMap(({ id, copies }) =>
      copies.filter(({ state }) => state === 'damaged' || state === 'missing').map(({ backend }) => `${id} ${backend}`),
    ),
  );
}

/** In short, for the trend. */
async function pastDrills(catalog: Catalog, source: string): Promise<PastDrill[]> {
  const records = await recentRestores(catalog, { source, kind: 'drill', limit: PAST_DRILLS });
  return records.map(({ startedAt, outcome, backup, backend, recovery, bytes }) => ({
    at: startedAt,
    outcome,
    ...(backup !== undefined && { backup }),
    ...(backend !== undefined && { backend }),
    ...(recovery !== undefined && { recovery }),
    ...(bytes !== undefined && { bytes }),
  }));
}

const PAST_DRILLS = 10;

async function fromCatalog<Result>(
  { catalog }: AssignDrillOptions,
  warnings: string[],
  ask: (catalog: Catalog) => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await ask(await catalog());
  } catch (error) {
    if (!isHoldfastError(error, 'CatalogUnavailable')) throw error;
    warnings.push(error.message);
    return undefined;
  }
}
