import { recordRestore, type RestoreRecord } from '../core/catalog/restores.ts';
import { restoreServer, sourceDatabases, sourceNamed } from '../core/config/open.ts';
import { findClientPrograms } from '../core/postgres/clients.ts';
import { findRestoreRemnants, removeRestoreRemnants, type RestorePlaces } from '../core/restore/restoreRemnants.ts';
import { restoreMark } from '../core/restore/names.ts';
import { createRoles } from '../core/restore/database/createRoles.ts';
import { dropDeadTargets, type DeadTargets } from '../core/restore/database/deadTargets.ts';
import type { PlanRequest, ReconciledTarget, RestoreStep, SwapStep } from '../core/restore/flow.ts';
import { openBackup } from '../core/restore/choose/openBackup.ts';
import { planRestore } from '../core/restore/plan/planRestore.ts';
import { readDescription } from '../core/restore/choose/readDescription.ts';
import { shortened } from '../core/restore/shortened.ts';
import { reconcile } from '../core/restore/reconcile/reconcile.ts';
import { releaseTarget } from '../core/restore/database/releaseTarget.ts';
import { restoreDatabase } from '../core/restore/database/restoreDatabase.ts';
import { chooseRestorePrograms } from '../core/restore/database/restorePrograms.ts';
import type { RestoredDatabase } from '../core/restore/run.ts';
import { runChecks, type CheckOutcome } from '../core/restore/reconcile/sqlChecks.ts';
import { subscriptionsOf } from '../core/restore/database/subscriptionsOf.ts';
import { databaseOids, swapDatabases, undoSwap, type Swap } from '../core/restore/database/swapDatabases.ts';
import { dropLeftOvers } from '../core/restore/database/targetDatabase.ts';
import type { Dependencies } from './dependencies.ts';
import type { StepContext } from './support/step.ts';
import { tellCatalog } from './support/tellCatalog.ts';

export const planRestoreStep = (dependencies: Dependencies) => (context: StepContext, request: PlanRequest) =>
  planRestore({
    ...dependencies,
    request,
    environment: Object.keys(process.env),
    liveRuns: () => context.liveRuns(dependencies.configuration.temporal.taskQueue),
    signal: context.signal,
  });

export const createRolesStep =
  (dependencies: Dependencies) =>
  async ({ signal }: StepContext, step: RestoreStep): Promise<string[]> => {
    const description = await describe(dependencies, step, signal);
    const created = await createRoles(await serverOf(dependencies, step), description, signal);
    dependencies.log.info({ source: step.source, backup: step.backup.id, created }, 'roles were created');
    return created;
  };

export const restoreDatabaseStep =
  (dependencies: Dependencies) =>
  async (context: StepContext, step: RestoreStep): Promise<RestoredDatabase> => {
    const { keys, progress, log } = dependencies;
    const { target, mark, jobs, scope } = step.database;
    const { manifest, copies } = await openBackup(dependencies, step, context.signal);
    const restored = await restoreDatabase({
      ...scope,
      copies,
      manifest,
      openingKeys: await keys.opening(),
      server: await serverOf(dependencies, step),
      target,
      mark,
      spared: sourceDatabases(dependencies.configuration),
      keepMark: true,
      jobs,
      clients: chooseRestorePrograms(await findClientPrograms(), manifest.database?.clientVersion ?? ''),
      signal: context.signal,
      onProgress: (restoring) => {
        context.checkpoint(restoring);
        progress.restored(context, restoring);
      },
    });
    const { backend, durations, passedOver } = restored;
    log.info({ source: step.source, backup: step.backup.id, target, backend, durations, passedOver }, 'restored');
    return restored;
  };

export const reconcileDatabaseStep =
  (dependencies: Dependencies) =>
  async ({ signal }: StepContext, step: RestoreStep): Promise<ReconciledTarget> => {
    const { target, replaces, scope } = step.database;
    const server = await serverOf(dependencies, step);
    const { inventory } = await describe(dependencies, step, signal);
    const reconciliation = await reconcile({
      ...scope,
      database: { ...server, name: target },
      expected: inventory,
      signal,
    });
    const [oid, inPlace] = await databaseOids(server, [target, ...(replaces ? [replaces.name] : [])], signal);
    if (oid === undefined) throw new TypeError('a database that was just compared is there');
    const subscriptions = await subscriptionsOf(server, oid, signal);
    return { oid, ...(inPlace !== undefined && { inPlace }), subscriptions, reconciliation: shortened(reconciliation) };
  };

export const checkDatabaseStep =
  (dependencies: Dependencies) =>
  async ({ signal }: StepContext, step: RestoreStep, name: string): Promise<CheckOutcome[]> => {
    const { checks } = sourceNamed(dependencies.configuration, step.source);
    // They are about the whole database. The plan has said so.
    if (step.database.scope.tables) return [];
    return runChecks({ ...(await serverOf(dependencies, step)), name }, checks, signal);
  };

export const releaseDatabaseStep =
  (dependencies: Dependencies) =>
  async ({ signal }: StepContext, step: SwapStep): Promise<void> =>
    releaseTarget(
      { ...markedTarget(step), name: step.database.name, server: await serverOf(dependencies, step), oid: step.oid },
      signal,
    );

export const swapDatabasesStep =
  (dependencies: Dependencies) =>
  async ({ signal }: StepContext, step: SwapStep): Promise<void> => {
    await swapDatabases(await swapOf(dependencies, step), signal);
    dependencies.log.info({ source: step.source, ...step.database.replaces }, 'the restored database is in place');
  };

export const undoSwapStep =
  (dependencies: Dependencies) =>
  async ({ signal }: StepContext, step: SwapStep): Promise<'before' | 'undone'> => {
    const state = await undoSwap(await swapOf(dependencies, step), signal);
    dependencies.log.warn(
      { source: step.source, ...step.database.replaces, state },
      'the database of before is in place',
    );
    return state;
  };

export const dropUnfinishedStep =
  (dependencies: Dependencies) =>
  async (context: StepContext, step: RestoreStep): Promise<void> => {
    dependencies.progress.close(context);
    const spared = sourceDatabases(dependencies.configuration);
    await dropLeftOvers({ ...markedTarget(step), spared, server: await serverOf(dependencies, step) });
  };

export const dropDeadStep =
  (dependencies: Dependencies) =>
  async (_context: StepContext, step: RestoreStep): Promise<DeadTargets> => {
    const spared = sourceDatabases(dependencies.configuration);
    const dead = await dropDeadTargets(await serverOf(dependencies, step), step.database.mark, spared);
    if (dead.dropped.length > 0) dependencies.log.warn({ dropped: dead.dropped }, 'dropped what dead restores left');
    return dead;
  };

export const findRestoreRemnantsStep = (dependencies: Dependencies) => () =>
  findRestoreRemnants(Object.keys(dependencies.configuration.sources).map((source) => placesOf(dependencies, source)));

export const removeRestoreRemnantsStep =
  (dependencies: Dependencies) =>
  async (_context: StepContext, source: string): Promise<void> =>
    removeRestoreRemnants(placesOf(dependencies, source));

function placesOf({ configuration }: Dependencies, source: string): RestorePlaces {
  const { database, files } = sourceNamed(configuration, source);
  return {
    source,
    // No run has this id: what is found is of all of them.
    mark: restoreMark(configuration.temporal.taskQueue, source, 'sweep'),
    ...(database && { server: () => restoreServer(configuration, source) }),
    spared: sourceDatabases(configuration),
    roots: Object.values(files).map(({ path }) => path),
  };
}

export const recordRestoreStep =
  ({ catalog, progress }: Dependencies) =>
  async (context: StepContext, record: RestoreRecord): Promise<void> => {
    progress.close(context);
    await tellCatalog(async () => recordRestore(await catalog(), record));
  };

function serverOf({ configuration }: Dependencies, { source }: RestoreStep) {
  return restoreServer(configuration, source);
}

function markedTarget({ database: { target, mark } }: RestoreStep) {
  return { target, mark };
}

async function describe(dependencies: Dependencies, step: RestoreStep, signal: AbortSignal) {
  const { manifest, copies } = await openBackup(dependencies, step, signal);
  return readDescription(copies, manifest, await dependencies.keys.opening(), signal);
}

async function swapOf(dependencies: Dependencies, step: SwapStep): Promise<Swap> {
  const { target, mark, replaces } = step.database;
  if (replaces === undefined) throw new TypeError('a swap replaces something');
  return {
    server: await serverOf(dependencies, step),
    name: replaces.name,
    next: target,
    keptAs: replaces.keptAs,
    setAsideAs: replaces.setAsideAs,
    oids: { old: replaces.oid, next: step.oid },
    mark,
  };
}
