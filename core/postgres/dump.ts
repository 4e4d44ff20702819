import type { DatabaseDumpOptions } from './dumpOptions.ts';
import type { PartSource } from '../backup/part.ts';
import type { InventoryDetail } from '../config/schema.ts';
import { isHoldfastError } from '../errors.ts';
import { queryError, type DatabaseAccess } from './access.ts';
import { readServer, type ServerFacts } from './server.ts';
import { chooseClientPrograms, findClientPrograms, type ClientPrograms } from './clients.ts';
import { startDumps, StuckBehindSnapshot, type RunningDump } from './dumpProcesses.ts';
import { globalsPart } from './globals.ts';
import { inventoryPart } from './inventory.ts';
import { createClientEnvironment, type ClientEnvironment } from './passwordFile.ts';
import { openSnapshot, type Snapshot } from './snapshot.ts';
import { readTableSizes, shareOut } from './split.ts';

/** What the manifest says about a database. */
export interface DatabaseFacts {
  readonly name: string;
  readonly serverVersion: string;
  readonly clientVersion: string;
  readonly systemIdentifier?: string;
  readonly encoding: string;
  /** pg_database_size() at the snapshot, in bytes. */
  readonly bytes: number;
  readonly inventory: InventoryDetail;
}

export interface DatabaseDump {
  readonly facts: DatabaseFacts;
  /** Backend process of the session that holds the snapshot and the locks, for a DBA who looks for it. */
  readonly snapshotPid: number;
  /** Each can be read once. All show the same snapshot. */
  readonly parts: readonly PartSource[];
  /**
   * Ends the snapshot's session and whatever still runs, and removes the password file. Rejects when the session had
   * ended by itself: what was read then is not to be trusted. Repeatable.
   */
  close(): Promise<void>;
}

const ATTEMPTS = 5;

/**
 * Locks every table, takes one snapshot, and starts every dump program on it; resolves once each holds its locks, so
 * that nothing that comes later can get between. Errors: `SourceUnreachable`, `SourceRefused`, `ToolMissing`,
 * `Stalled` (a lock, with its holder), `DumpFailed`.
 */
export async function openDatabaseDump(access: DatabaseAccess, options: DatabaseDumpOptions): Promise<DatabaseDump> {
  const environment = await createClientEnvironment(access, options.temporaryDirectory);
  try {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await openOnce(access, options, environment);
      } catch (error) {
        // Somebody queued for a lock between ours and the programs'. Letting go lets him pass; then it starts afresh.
        if (!(error instanceof StuckBehindSnapshot) || attempt === ATTEMPTS) throw error;
      }
    }
  } catch (error) {
    await environment.remove();
    throw error;
  }
}

async function openOnce(
  access: DatabaseAccess,
  options: DatabaseDumpOptions,
  environment: ClientEnvironment,
): Promise<DatabaseDump> {
  const snapshot = await openSnapshot(access, options.signal);
  const stopping = new AbortController();
  const signal = AbortSignal.any([stopping.signal, snapshot.lost, ...(options.signal ? [options.signal] : [])]);
  try {
    const server = await readServer(snapshot.client);
    const clients = options.clients ?? chooseClientPrograms(await findClientPrograms(), server);
    const split = options.jobs > 1 ? await splitTables(snapshot, options.jobs) : [];
    const dumps = await startDumps({
      access,
      options,
      environment,
      clients,
      snapshot,
      split,
      server,
      signal,
    });
    const globals = await globalsPart({ access, options, environment, clients, client: snapshot.client });
    const inventory = inventoryPart({
      access,
      detail: options.inventory,
      besideDump: true,
      server,
      client: snapshot.client,
    });
    return {
      facts: factsOf(access, server, clients, options.inventory),
      snapshotPid: snapshot.pid,
      parts: [...dumps.map(dumpPart), globals, inventory].map((part) => whileAlive(part, signal)),
      close: closeOnce(async () => {
        await snapshot.close();
        stopping.abort(new Error('the dump was closed'));
        await Promise.all(dumps.map((dump) => dump.gone));
        await environment.remove();
        snapshot.lost.throwIfAborted();
      }),
    };
  } catch (error) {
    stopping.abort(error);
    await snapshot.close();
    options.signal?.throwIfAborted();
    snapshot.lost.throwIfAborted();
    throw isHoldfastError(error) || error instanceof StuckBehindSnapshot
      ? error
      : queryError(access, 'reading the catalogs', error);
  }
}

async function splitTables(snapshot: Snapshot, jobs: number): Promise<string[][]> {
  const { tables, restBytes } = await readTableSizes(snapshot.client);
  return shareOut(tables, restBytes, jobs).map((list) => list.map((table) => table.name));
}

function factsOf(
  access: DatabaseAccess,
  server: ServerFacts,
  clients: ClientPrograms,
  inventory: InventoryDetail,
): DatabaseFacts {
  return {
    name: access.name,
    serverVersion: server.version,
    clientVersion: clients.version,
    ...(server.systemIdentifier === undefined ? {} : { systemIdentifier: server.systemIdentifier }),
    encoding: server.encoding,
    bytes: server.bytes,
    inventory,
  };
}

function dumpPart(dump: RunningDump): PartSource {
  return {
    part: dump.part,
    format: 'pg_dump-custom',
    // The schema is a few KB that its program has ready by now.
    lane: dump.part === 'schema' ? 'beside' : 'dump',
    open: (signal) => {
      signal.addEventListener('abort', () => dump.stop(signal.reason), { once: true });
      if (signal.aborted) dump.stop(signal.reason);
      return { plaintext: dump.output, finished: dump.finished.then(() => ({})) };
    },
  };
}

/** No part is good unless the snapshot's session was alive when its last byte was read. */
function whileAlive(source: PartSource, alive: AbortSignal): PartSource {
  return {
    ...source,
    open: (signal) => {
      const stream = source.open(AbortSignal.any([signal, alive]));
      const finished = stream.finished.then((facts) => {
        alive.throwIfAborted();
        return facts;
      });
      // The reader of the bytes may fail first; then nobody is left to hear this.
      finished.catch(() => undefined);
      return { plaintext: stream.plaintext, finished };
    },
  };
}

function closeOnce(close: () => Promise<void>): () => Promise<void> {
  let closing: Promise<void> | undefined;
  return () => (closing ??= close());
}
