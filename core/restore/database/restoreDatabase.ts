import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { HoldfastError, isHoldfastError, messageOf } from '../../errors.ts';
import type { Inventory } from '../../postgres/inventorySchema.ts';
import { createClientEnvironment, type ClientEnvironment } from '../../postgres/passwordFile.ts';
import { createTemporaryDirectory } from '../../process/temporaryDirectory.ts';
import { explaining } from '../../systemErrors.ts';
import { partBytes } from '../../repository/extractPart.ts';
import type { ManifestPart } from '../../repository/manifest.ts';
import { partNamed, readPart } from '../../repository/readPart.ts';
import type { Backend } from '../../storage/backend.ts';
import { readingAhead } from '../../storage/readAhead.ts';
import { analyzeTables } from './analyzeTables.ts';
import { parseList } from './archiveEntries.ts';
import { applyParameters, applyProperties, databaseProperties } from './databaseProperties.ts';
import { dropTemplateObjects } from './dropTemplateObjects.ts';
import { restoreDefinitions, type Definitions } from './definitions.ts';
import { creatorsNeeded } from './lendCreate.ts';
import { readRestorer } from './restorer.ts';
import { fromGoodCopy } from '../choose/fromGoodCopy.ts';
import { dropLines } from '../names.ts';
import { describeCopy } from '../choose/readDescription.ts';
import { preparePublicSchema } from './publicSchema.ts';
import { listArchiveFile, restoreStream, type RestoreSession } from './restorePrograms.ts';
import type { RestoreDatabaseOptions, RestoredDatabase, RestorePhase } from '../run.ts';
import { selectEntries, type EntrySelection } from './selectEntries.ts';
import { resolveTables } from './selectTables.ts';
import { createTarget, dropTarget, type NewDatabase } from './targetDatabase.ts';
import { newAttempt } from './targetMark.ts';

/**
 * Makes a new database of a backup, from the first copy that is good to its end: definitions first, then rows, streamed
 * from the storage through decryption into the server, several parts side by side, then indexes and constraints,
 * statistics, and the database's own settings. No row touches a disk here. The database is whole if and only if this
 * resolves; with `keepMark` it is to be released then. After a failure, or when `signal` aborts, it is gone.
 *
 * Throws RestoreFailed naming the object that the server does not take, RefusedForSafety for a target that exists,
 * KeyMissing, ToolMissing, SourceUnreachable, and for lack of a good copy what is wrong with the last one.
 */
export async function restoreDatabase(options: RestoreDatabaseOptions): Promise<RestoredDatabase> {
  const begun = performance.now();
  const restore = (backend: Backend) => restoreCopy(options, readingAhead(backend));
  const { result, backend, passedOver } = await fromGoodCopy(options.copies, restore, options.signal);
  const { durations, warnings } = result;
  return { backend, durations: { ...durations, total: since(begun) }, passedOver, warnings };
}

interface RestoredCopy {
  readonly durations: Record<RestorePhase, number>;
  readonly warnings: readonly string[];
}

async function restoreCopy(options: RestoreDatabaseOptions, backend: Backend): Promise<RestoredCopy> {
  const { manifest, openingKeys, server, target, signal } = options;
  const directory = await createTemporaryDirectory();
  let environment: ClientEnvironment | undefined;
  try {
    const description = await describeCopy(backend, manifest, openingKeys, signal);
    const file = await saveDefinitions(options, backend, directory);
    // Before anything is made: a wrong name changes nothing.
    if (options.tables) resolveTables(description.inventory, options.tables);
    environment = await createClientEnvironment({ ...server, name: target }, directory);
    const { mark, spared } = options;
    const database: NewDatabase = { server, target, mark, spared, attempt: newAttempt() };
    try {
      const serverMajor = await createTarget(database, description.inventory.database, signal);
      return await fillTarget(options, backend, { ...description, file, environment, database, serverMajor });
    } catch (error) {
      throw await afterDropping(database, error, signal);
    }
  } finally {
    await environment?.remove();
    await rm(directory, { recursive: true, force: true });
  }
}

/** The part `schema`, a few KB to MB without rows, in a file: pg_restore builds indexes in parallel only from one. */
async function saveDefinitions(
  { manifest, openingKeys, signal }: RestoreDatabaseOptions,
  backend: Backend,
  directory: string,
): Promise<string> {
  const file = path.join(directory, 'schema.dump');
  const part = partNamed(manifest, 'schema');
  const contents = readPart(backend, manifest, part, openingKeys, signal);
  await explaining({ where: file }, () => writeFile(file, contents, { mode: 0o600, flag: 'wx' }));
  return file;
}

interface Materials {
  readonly inventory: Inventory;
  readonly globals: string;
  /** The definitions' archive. */
  readonly file: string;
  readonly environment: ClientEnvironment;
  readonly database: NewDatabase;
  readonly serverMajor: number;
}

async function fillTarget(
  options: RestoreDatabaseOptions,
  backend: Backend,
  { inventory, globals, file, environment, database, serverMajor }: Materials,
): Promise<RestoredCopy> {
  const { server, target, clients, jobs, signal } = options;
  const properties = databaseProperties(globals, target, options);
  const contents = await listArchiveFile(clients, file, signal);
  const entries = parseList(contents);
  const access = { ...server, name: target };
  const restorer = await readRestorer(access, inventory, signal);
  const selection = await selectEntries({
    inventory,
    entries,
    definitions: file,
    tables: options.tables,
    mayBecome: restorer && (options.noOwner ? new Set() : restorer.mayBecome),
  });
  const session: RestoreSession = {
    clients,
    serverMajor,
    variables: environment.variables,
    target,
    options: [...(options.noOwner ? ['--no-owner'] : []), ...(options.noPrivileges ? ['--no-privileges'] : [])],
    entries,
  };
  const phases = startPhases(options, backend);
  const creators = restorer && creatorsNeeded(restorer, inventory, options);
  const definitions: Definitions = { session, file, target: access, creators, jobs, signal };
  await phases.run('definitions', async () => {
    await dropTemplateObjects(access, inventory, signal);
    await preparePublicSchema(access, { ...options, contents, inventory, serverMajor }, signal);
    await applyParameters(server, properties, signal);
    await restoreDefinitions(definitions, selection.beforeRows);
  });
  await phases.run('rows', () => restoreRows(options, backend, session, selection.rows, phases.onBytes));
  await phases.run('indexes', () => restoreDefinitions(definitions, selection.afterRows));
  const analyzed = await phases.run('statistics', () => analyzeTables(access, jobs, signal));
  await phases.run('settings', async () => {
    await restoreDefinitions(definitions, selection.last);
    await applyProperties(database, properties, options);
  });
  return { durations: phases.durations(), warnings: [...properties.warnings, ...selection.warnings, ...analyzed] };
}

/** The parts with rows, at most `jobs` at once. One's failure ends the others, which are gone when this rejects. */
async function restoreRows(
  { manifest, openingKeys, jobs, signal }: RestoreDatabaseOptions,
  backend: Backend,
  session: RestoreSession,
  runs: EntrySelection['rows'],
  onBytes: (part: string, bytes: number) => void,
): Promise<void> {
  const stop = new AbortController();
  const stopping = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const queue = partsWithRows(manifest.parts)
    .flatMap((part) => runs.map((args) => ({ part, args })))
    .values();
  const worker = async () => {
    for (const { part, args } of queue) {
      const archive = partBytes(
        {
          backend,
          manifest,
          part,
          openingKeys,
          pgRestore: () => Promise.reject(new TypeError('an archive is read as it is')),
          signal: stopping,
          onProgress: (bytes) => onBytes(part.part, bytes),
        },
        'dump',
      );
      try {
        await restoreStream(session, archive, ['--section=data', ...args], stopping);
      } catch (error) {
        stop.abort(error);
        throw error;
      } finally {
        // What pg_restore left unread lets go of the storage.
        await archive.return();
      }
    }
  };
  const endings = await Promise.allSettled(Array.from({ length: jobs }, worker));
  signal?.throwIfAborted();
  // The reason is the failure that ended the others.
  if (stop.signal.aborted) throw stop.signal.reason;
  for (const ending of endings) if (ending.status === 'rejected') throw ending.reason;
}

function partsWithRows(parts: readonly ManifestPart[]): ManifestPart[] {
  return parts.filter(({ part }) => part === 'database' || /^rows-\d+$/.test(part));
}

function startPhases({ manifest, onProgress }: RestoreDatabaseOptions, backend: Backend) {
  const durations: Partial<Record<RestorePhase, number>> = {};
  const bytesOf = new Map<string, number>();
  const totalBytes = partsWithRows(manifest.parts).reduce((sum, part) => sum + part.originalBytes, 0);
  const report = (phase: RestorePhase) => {
    const bytes = [...bytesOf.values()].reduce((sum, each) => sum + each, 0);
    onProgress?.({ phase, backend: backend.name, bytes, totalBytes });
  };
  return {
    run: async <Result>(phase: RestorePhase, work: () => Promise<Result>): Promise<Result> => {
      const begun = performance.now();
      report(phase);
      const result = await work();
      durations[phase] = since(begun);
      return result;
    },
    onBytes: (part: string, bytes: number) => {
      bytesOf.set(part, bytes);
      report('rows');
    },
    durations: () => durations as Record<RestorePhase, number>,
  };
}

/** The failure, when the unfinished database is gone. One that could not be dropped is told with it. */
async function afterDropping(database: NewDatabase, error: unknown, signal: AbortSignal | undefined): Promise<unknown> {
  const cause = signal?.aborted ? signal.reason : error;
  try {
    await dropTarget(database);
    return cause;
  } catch (dropping) {
    const { target } = database;
    const left = `${messageOf(cause)}; the unfinished database ${target} could not be dropped: ${messageOf(dropping)}`;
    const how = isHoldfastError(dropping, 'RestoreFailed') ? dropping.advice : undefined;
    return new HoldfastError(isHoldfastError(cause) ? cause.type : 'RestoreFailed', left, {
      advice: how ?? `Drop it: ${dropLines(target, {}).join(' ')}`,
      cause,
    });
  }
}

function since(begun: number): number {
  return Math.round(performance.now() - begun);
}
