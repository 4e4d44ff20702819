import { createHash } from 'node:crypto';
import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { HoldfastError, codeOf } from '../core/errors.ts';
import { findTar } from '../core/files/tarProgram.ts';
import type { DatabaseAccess } from '../core/postgres/access.ts';
import { findClientPrograms } from '../core/postgres/clients.ts';
import type { Finding } from '../core/postgres/preflight.ts';
import { chooseBackup } from '../core/restore/chooseBackup.ts';
import { compareTree } from '../core/restore/compareTree.ts';
import { createRoles } from '../core/restore/createRoles.ts';
import type { RestoredTreeResult } from '../core/restore/flow.ts';
import { dropTreeLeftOvers, placeTree } from '../core/restore/placeTree.ts';
import { planTrees } from '../core/restore/planTrees.ts';
import { preflightTarget } from '../core/restore/preflightTarget.ts';
import { readDescription } from '../core/restore/readDescription.ts';
import { reconcile } from '../core/restore/reconcile.ts';
import { restoreDatabase } from '../core/restore/restoreDatabase.ts';
import { chooseRestorePrograms } from '../core/restore/restorePrograms.ts';
import { withDirectoryLock } from '../core/process/directoryLock.ts';
import { restoreTree } from '../core/restore/restoreTree.ts';
import type {
  ChosenBackup,
  DatabaseDescription,
  PassedOver,
  Reconciliation,
  RestoredDatabase,
  RestoreScope,
} from '../core/restore/run.ts';
import { withTargetLock } from '../core/restore/targetLock.ts';
import type { TreePlace } from '../core/restore/trees.ts';
import type { CheckingKey, OpeningKey } from '../core/seal/keys.ts';
import type { Backend } from '../core/storage/backend.ts';
import { notTheNewest } from './recoveryResult.ts';

/** What is to come back where. At least one of `database` and `tree`. */
export interface RecoveryWish {
  /** `latest`, an id, or the beginning of one. */
  readonly backup: string;
  readonly source?: string | undefined;
  readonly before?: string | undefined;
  readonly database?:
    | (RestoreScope & {
        readonly server: DatabaseAccess;
        /** Name of the database to make. */
        readonly target: string;
        readonly createRoles: boolean;
        readonly jobs: number;
      })
    | undefined;
  readonly tree?: { readonly name: string; readonly directory: string } | undefined;
}

export interface RecoveryMeans {
  readonly backend: Backend;
  /** Undefined: signatures are not checked. */
  readonly checkingKeys: readonly CheckingKey[] | undefined;
  readonly openingKeys: readonly OpeningKey[];
  /** Where the copies lie, if that is on this machine: nothing is restored into there. */
  readonly copiesIn?: string | undefined;
  readonly signal: AbortSignal;
  /** What is being done now, and how far it is. */
  readonly onProgress: (phase: string, bytes: number, totalBytes: number) => void;
  readonly warn: (text: string) => void;
}

export interface Recovery {
  readonly backup: string;
  readonly source: string;
  readonly sealedAt: string;
  readonly database?: RecoveredDatabase;
  readonly tree?: RestoredTreeResult;
  readonly passedOver: readonly PassedOver[];
  /** Where the newest was asked for: what may be newer than `backup`, and cannot be trusted. */
  readonly newer: readonly PassedOver[];
}

export interface RecoveredDatabase extends RestoredDatabase {
  readonly name: string;
  readonly createdRoles: readonly string[];
  readonly reconciliation: Reconciliation;
}

/**
 * Restores a backup with one storage and the keys, in this process. Everything that can be refused is refused before
 * anything is made; what fails or is interrupted later leaves nothing unfinished.
 */
export async function recover(wish: RecoveryWish, means: RecoveryMeans): Promise<Recovery> {
  const { backend, checkingKeys, signal } = means;
  const copies = [{ backend: backend.name, open: async () => backend }];
  const part = wish.database ? 'database' : wish.tree?.name;
  const chosen = await chooseBackup({ wish: { ...wish, part }, copies, checkingKeys, signal });
  for (const line of notTheNewest(chosen.manifest.id, chosen.newer)) means.warn(line);
  return withLocks(wish, means, (alone) => recoverChosen(wish, chosen, alone));
}

async function recoverChosen(wish: RecoveryWish, chosen: ChosenBackup, means: RecoveryMeans): Promise<Recovery> {
  const { id, source, sealedAt } = chosen.manifest;
  const database = wish.database && (await planDatabase(wish.database, chosen, means));
  const place = wish.tree && (await planTree(wish.tree, chosen, means));
  try {
    const tree = place && (await stageTree(place, chosen, means));
    const recovered = database && (await recoverDatabase(database, chosen, means));
    const placed = place && tree && { ...tree, ...(await placeTree(place)) };
    const { passedOver, newer } = chosen;
    return {
      backup: id,
      source,
      sealedAt,
      ...(recovered && { database: recovered }),
      ...(placed && { tree: placed }),
      passedOver,
      newer,
    };
  } finally {
    if (place) await dropTreeLeftOvers(place);
  }
}

/** Two at once that make the same would each take the other's unfinished work for what a killed one left. */
function withLocks(
  { database, tree }: RecoveryWish,
  means: RecoveryMeans,
  work: (means: RecoveryMeans) => Promise<Recovery>,
): Promise<Recovery> {
  const withTree = (signal: AbortSignal) => {
    const alone = (both: AbortSignal) => work({ ...means, signal: both });
    return tree ? withTreeLock(tree.directory, { ...means, signal }, alone) : alone(signal);
  };
  return database ? withTargetLock(database.server, database.target, means.signal, withTree) : withTree(means.signal);
}

async function withTreeLock<Result>(
  directory: string,
  { signal, warn }: RecoveryMeans,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const at = path.resolve(directory);
  // Nothing can be made there; the plan says so.
  if (!(await isThere(path.dirname(at)))) return work(signal);
  const hash = createHash('sha256').update(path.basename(at)).digest('hex').slice(0, 16);
  const lock = path.join(path.dirname(at), `.holdfast-recovering-${hash}`);
  return withDirectoryLock({ directory: lock, what: `recovery into ${at}`, signal, warn }, work);
}

interface PlannedDatabase {
  readonly wish: NonNullable<RecoveryWish['database']>;
  readonly description: DatabaseDescription;
  readonly clients: Awaited<ReturnType<typeof findClientPrograms>>[number];
  readonly mark: string;
}

async function planDatabase(
  wish: PlannedDatabase['wish'],
  { copies, manifest }: ChosenBackup,
  { openingKeys, signal, warn }: RecoveryMeans,
): Promise<PlannedDatabase> {
  if (!manifest.database)
    throw new HoldfastError('InvalidInput', `Backup ${manifest.id} has no database`, {
      advice: `Its parts are: ${manifest.parts.map(({ part }) => part).join(', ')}.`,
    });
  const clients = chooseRestorePrograms(await findClientPrograms(), manifest.database.clientVersion);
  const description = await readDescription(copies, manifest, openingKeys, signal);
  // The same for every try: what one that was killed has left is replaced by the next.
  const mark = `recover/${wish.target}`;
  const inspection = await preflightTarget({ ...wish, manifest, description, mark, signal });
  refuse(inspection.findings, warn);
  return { wish, description, clients, mark };
}

async function recoverDatabase(
  { wish, description, clients, mark }: PlannedDatabase,
  { copies, manifest }: ChosenBackup,
  { openingKeys, signal, onProgress, warn }: RecoveryMeans,
): Promise<RecoveredDatabase> {
  const { server, target, jobs } = wish;
  const createdRoles = wish.createRoles ? await createRoles(server, description, signal) : [];
  const restored = await restoreDatabase({
    ...wish,
    copies,
    manifest,
    openingKeys,
    mark,
    jobs,
    clients,
    signal,
    onProgress: ({ phase, bytes, totalBytes }) => onProgress(`restoring ${phase} of ${target}`, bytes, totalBytes),
  });
  try {
    onProgress(`comparing ${target} with what was dumped`, 0, 0);
    const access = { ...server, name: target };
    const reconciliation = await reconcile({ ...wish, database: access, expected: description.inventory, signal });
    return { name: target, createdRoles, ...restored, reconciliation };
  } catch (error) {
    warn(`database ${target} was restored to its end and is there; it was not compared with what was dumped`);
    throw error;
  }
}

async function planTree(
  { name, directory }: NonNullable<RecoveryWish['tree']>,
  { manifest }: ChosenBackup,
  { copiesIn, warn }: RecoveryMeans,
): Promise<TreePlace> {
  const at = path.resolve(directory);
  const place: TreePlace = { tree: name, path: at, mode: 'in-place', id: manifest.id, mark: `recover/${at}` };
  const ownDirectories = copiesIn === undefined ? [] : [{ what: 'the storage', path: copiesIn }];
  // Of a try that was killed; this one begins anew.
  await dropTreeLeftOvers(place);
  const [plan] = await planTrees({ manifest, trees: [place], tar: await findTar(), ownDirectories });
  refuse(plan?.findings ?? [], warn);
  if (await isThere(at))
    throw new HoldfastError('RefusedForSafety', `${at} exists already`, {
      advice: 'Nothing is overwritten: name a directory that does not exist yet.',
    });
  return place;
}

async function isThere(file: string): Promise<boolean> {
  try {
    await lstat(file);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

async function stageTree(place: TreePlace, { copies, manifest }: ChosenBackup, means: RecoveryMeans) {
  const { openingKeys, signal, onProgress } = means;
  const doing = (what: string) => ({
    copies,
    manifest,
    openingKeys,
    signal,
    tar,
    onProgress: ({ bytes, totalBytes }: { readonly bytes: number; readonly totalBytes: number }) =>
      onProgress(`${what} ${place.tree}`, bytes, totalBytes),
  });
  const tar = await findTar();
  const restored = await restoreTree({ ...doing('restoring'), place });
  const { tree } = place;
  const comparison = await compareTree({ ...doing('comparing'), tree, directory: restored.directory });
  if (comparison.equal) return { restored, comparison };
  const told = comparison.differences.slice(0, 5).map(({ object, what, expected, found }) => {
    return `${object}: ${what} ${expected} -> ${found}`;
  });
  throw new HoldfastError(
    'RestoreFailed',
    `Tree ${tree} came out with ${comparison.differenceCount} differences from the backup: ${told.join('; ')}`,
    {
      advice:
        'Restore onto a file system that keeps modes, owners and times, or take the archive with `recover extract`.',
    },
  );
}

/** Throws what stands in the way, all of it; warnings are told. */
function refuse(findings: readonly Finding[], warn: (text: string) => void): void {
  for (const { severity, message } of findings) if (severity === 'warning') warn(message);
  const failures = findings.filter(({ severity }) => severity === 'failure');
  const [first] = failures;
  if (!first) return;
  const type = failures.some((each) => each.type === 'InvalidInput') ? 'InvalidInput' : 'RefusedForSafety';
  const message = failures.map((each) => each.message).join('; ');
  throw new HoldfastError(type, message, { advice: failures.map(({ advice }) => advice).join(' ') });
}
