import path from 'node:path';
import { recordRestore } from '../core/catalog/restores.ts';
import { recordVerification } from '../core/catalog/write.ts';
import { drillServer, sourceDatabases, sourceNamed } from '../core/config/open.ts';
import { assignDrill } from '../core/drill/assignDrill.ts';
import { drillDatabase } from '../core/drill/drillDatabase.ts';
import { drillTree } from '../core/drill/drillTree.ts';
import { findDrillRemnants } from '../core/drill/findRemnants.ts';
import type {
  DrillAssignment,
  DrilledPart,
  DrillInput,
  DrillNote,
  DrillReport,
  DrillStep,
  DrillTreeStep,
} from '../core/drill/run.ts';
import { dropScratchDatabase, scratchDatabase, type ScratchDatabase } from '../core/drill/scratch.ts';
import { HoldfastError, isHoldfastError } from '../core/errors.ts';
import { removeTree } from '../core/files/removeTree.ts';
import { findTar } from '../core/files/tarProgram.ts';
import { findClientPrograms } from '../core/postgres/clients.ts';
import { readManifest } from '../core/repository/readManifest.ts';
import type { Manifest } from '../core/repository/manifest.ts';
import { chooseRestorePrograms } from '../core/restore/database/restorePrograms.ts';
import { noCheckingKey } from '../core/seal/noCheckingKey.ts';
import type { Dependencies } from './dependencies.ts';
import type { StepContext } from './support/step.ts';
import { tellCatalog } from './support/tellCatalog.ts';
import { createTeller } from './support/teller.ts';

export const chooseDrillStep =
  (dependencies: Dependencies) =>
  (context: StepContext, input: DrillInput, seed: number): Promise<DrillAssignment> =>
    assignDrill({
      ...dependencies,
      liveRuns: () => context.liveRuns(dependencies.configuration.temporal.taskQueue),
      hostQueue: dependencies.spoolQueue,
      input,
      seed,
      signal: context.signal,
    });

export const drillDatabaseStep =
  (dependencies: Dependencies) =>
  async (context: StepContext, step: DrillStep): Promise<DrilledPart> => {
    const { configuration, backends, keys, log } = dependencies;
    const { location, backend } = step.assignment;
    const { source } = location;
    const tell: (report: DrillReport) => void = createTeller(context, 'reportDrill', log);
    const manifest = await manifestOf(dependencies, context, step.assignment);
    const { restore, checks } = sourceNamed(configuration, source);
    const part = await drillDatabase({
      ...step,
      copy: { backend, open: () => backends.get(backend) },
      manifest,
      openingKeys: await keys.opening(),
      scratch: await scratchOf(dependencies, source),
      clients: chooseRestorePrograms(await findClientPrograms(), manifest.database?.clientVersion ?? ''),
      jobs: restore.jobs,
      checks,
      signal: context.signal,
      onProgress: (state, bytes) => {
        context.checkpoint({ state, bytes });
        tell({ part: 'database', state, bytes });
      },
    });
    log.info({ source, backup: location.backup, backend, differences: part.differenceCount }, 'a database was drilled');
    return part;
  };

export const drillTreeStep =
  (dependencies: Dependencies) =>
  async (context: StepContext, step: DrillTreeStep): Promise<DrilledPart> => {
    const { backends, keys, log } = dependencies;
    const { backend, location } = step.assignment;
    const { tree } = step;
    const tell: (report: DrillReport) => void = createTeller(context, 'reportDrill', log);
    return drillTree({
      tree,
      copy: { backend, open: () => backends.get(backend) },
      manifest: await manifestOf(dependencies, context, step.assignment),
      openingKeys: await keys.opening(),
      scratch: scratchDirectoryOf(dependencies, location.source),
      tar: await findTar(),
      signal: context.signal,
      onProgress: (state, bytes) => {
        context.checkpoint({ state, bytes });
        tell({ part: tree, state, bytes });
      },
    });
  };

export const removeDrillTreesStep = (dependencies: Dependencies) => (_context: StepContext, source: string) =>
  removeTree(scratchDirectoryOf(dependencies, source));

export const removeDrillDatabaseStep = (dependencies: Dependencies) => async (_context: StepContext, source: string) =>
  dropScratchDatabase(await scratchOf(dependencies, source));

export const findDrillRemnantsStep = (dependencies: Dependencies) => () =>
  findDrillRemnants(
    Object.entries(dependencies.configuration.sources).map(([source, { database }]) => ({
      source,
      ...(database && { database: () => scratchOf(dependencies, source) }),
      directory: scratchDirectoryOf(dependencies, source),
    })),
  );

export const recordDrillStep =
  ({ catalog }: Dependencies) =>
  async (_context: StepContext, { record, copy }: DrillNote): Promise<void> =>
    tellCatalog(async () => {
      const opened = await catalog();
      await recordRestore(opened, record);
      if (copy === undefined || record.backup === undefined || record.backend === undefined) return;
      const looked = recordVerification(opened, {
        backupId: record.backup,
        backend: record.backend,
        depth: 'restored',
        outcome: copy.outcome,
        at: record.endedAt,
        durationMs: record.recovery ?? Date.parse(record.endedAt) - Date.parse(record.startedAt),
        message: copy.message,
      });
      await looked.catch((error: unknown) => {
        throw isHoldfastError(error, 'InvalidInput') ? notYetKnown(error) : error;
      });
    });

/** The run of the backup, or a heal that finds it on a storage, tells the catalog of it, perhaps after this. */
function notYetKnown({ message, cause }: HoldfastError): HoldfastError {
  return new HoldfastError('CatalogUnavailable', message, {
    advice: 'The look at all copies, `holdfast heal SOURCE`, takes a published backup into the catalog.',
    cause,
  });
}

async function scratchOf({ configuration }: Dependencies, source: string): Promise<ScratchDatabase> {
  const { database } = sourceNamed(configuration, source);
  const server = await drillServer(configuration, source);
  if (database === undefined) throw new TypeError('drillServer refuses a source without a database');
  const { taskQueue } = configuration.temporal;
  return {
    ...scratchDatabase({ source, taskQueue, database }, server),
    spared: sourceDatabases(configuration),
  };
}

/** Named after the spool, which names this host: directories may be shared. */
function scratchDirectoryOf({ configuration, spool }: Dependencies, source: string): string {
  const { directory } = sourceNamed(configuration, source).drill;
  return path.join(directory ?? path.dirname(spool.path), `holdfast-drill-${source}-${spool.id}`);
}

/** The manifest that was chosen, and no other one that took its place meanwhile. */
async function manifestOf(
  { backends, keys }: Dependencies,
  { signal }: StepContext,
  { backend, location, manifestSha256 }: DrillAssignment,
): Promise<Manifest> {
  const checkingKeys = await keys.checking();
  if (checkingKeys.length === 0) throw noCheckingKey();
  const { manifest, sha256 } = await readManifest(await backends.get(backend), location, checkingKeys, signal);
  if (sha256 === manifestSha256) return manifest;
  throw new HoldfastError('ManifestInvalid', `The manifest of ${location.backup} on ${backend} was changed meanwhile`, {
    advice: 'Find out who writes to this storage.',
  });
}
