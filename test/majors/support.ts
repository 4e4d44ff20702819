import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseAccess } from '../../core/postgres/access.ts';
import { chooseClientPrograms, findClientPrograms, type ClientPrograms } from '../../core/postgres/clients.ts';
import { startPostgres } from '../../core/tools/postgresServer.ts';
import type { RestoreDatabaseOptions, RestoredDatabase } from '../../core/restore/run.ts';
import { chooseRestorePrograms } from '../../core/restore/database/restorePrograms.ts';
import { dropDatabase } from '../../core/restore/database/dropDatabase.ts';
import { onServer } from '../../core/restore/database/onServer.ts';
import { oidsOf } from '../../core/restore/database/swapDatabases.ts';
import { accessTo, runSql } from '../core/postgres/support.ts';
import { backUp, restore, type StoredDatabase } from '../core/restore/support.ts';
import type { TestContext } from 'node:test';
import { temporaryDirectory } from '../support/directories.ts';
import { fileScope } from '../support/fileScope.ts';
import { bringPostgresMajor } from '../support/postgresMajors.ts';
import type { TestDatabase } from '../support/servers.ts';

/** A server of one major version, shared by the tests of a file. */
export interface MajorServer {
  readonly major: number;
  /** Its maintenance database, as its superuser. */
  readonly maintenance: TestDatabase;
  readonly clients: ClientPrograms;
}

const PASSWORD = 'only for the tests';
const scope = fileScope();
const started = new Map<number, Promise<MajorServer>>();

/** Started when it is first asked for, ended with the file. */
export function serverOf(major: number): Promise<MajorServer> {
  const running = started.get(major) ?? start(major);
  started.set(major, running);
  return running;
}

async function start(major: number): Promise<MajorServer> {
  const directory = await temporaryDirectory(scope, { reachable: true });
  const binDirectory = await bringPostgresMajor(major, directory, () => undefined);
  const server = await startPostgres({
    directory: join(directory, 'postgres'),
    binDirectory,
    password: PASSWORD,
    durable: false,
    settings: ['max_prepared_transactions=10'],
  });
  scope.after(() => server.close());
  await chmod(directory, 0o711);
  const { host, port, user } = server;
  const maintenance = { host, port, user, password: PASSWORD, name: 'postgres' };
  return { major, maintenance, clients: await clientsIn(binDirectory) };
}

async function clientsIn(directory: string): Promise<ClientPrograms> {
  const found = (await findClientPrograms([directory], '')).find((clients) => clients.directory === directory);
  if (found === undefined) throw new Error(`no client programs in ${directory}`);
  return found;
}

/** An empty database on that server, dropped after the test. `form`: what CREATE DATABASE is told. */
export async function databaseOn(
  context: TestContext,
  server: MajorServer,
  { form = '', create = true }: { readonly form?: string; readonly create?: boolean } = {},
): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  if (create) await runSql(server.maintenance, `create database ${name} template template0 ${form}`);
  context.after(() =>
    onServer(maintenanceOf(server), undefined, async (client) => {
      const [oid] = await oidsOf(client, [name]);
      if (oid !== undefined) await dropDatabase(client, maintenanceOf(server), { oid, name });
    }),
  );
  return { ...server.maintenance, name };
}

/** By the programs that fit the server best, as a backup takes them, of all that the tests have. */
export async function backUpOn(
  context: TestContext,
  server: MajorServer,
  source: TestDatabase,
  options: { readonly jobs?: number; readonly clients?: ClientPrograms } = {},
): Promise<StoredDatabase> {
  const facts = { version: server.clients.version, major: server.major };
  const clients = options.clients ?? chooseClientPrograms([server.clients], facts);
  const backup = await backUp(context, source, { dump: { clients, jobs: options.jobs ?? 2 } });
  const { serverVersion } = backup.inventory;
  const { database } = backup.manifest;
  assert.ok(database);
  return {
    ...backup,
    manifest: { ...backup.manifest, database: { ...database, serverVersion, clientVersion: clients.version } },
  };
}

/** Into a new database of that server, by the programs that a restore takes. */
export async function restoreOn(
  context: TestContext,
  server: MajorServer,
  backup: StoredDatabase,
  changes: Partial<RestoreDatabaseOptions> = {},
): Promise<{ target: TestDatabase; restored: RestoredDatabase }> {
  const target = await databaseOn(context, server, { create: false });
  const restored = await restore(backup, target, {
    server: maintenanceOf(server),
    clients: chooseRestorePrograms(await everyClient(), backup.clientVersion),
    ...changes,
  });
  return { target, restored };
}

export function maintenanceOf(server: MajorServer): DatabaseAccess {
  return accessTo(server.maintenance);
}

/** Newest first, of the servers that were started. */
async function everyClient(): Promise<ClientPrograms[]> {
  const servers = await Promise.all(started.values());
  return servers.map(({ clients }) => clients).toSorted((a, b) => b.major - a.major);
}

export async function databasesOn({ maintenance }: MajorServer): Promise<unknown[]> {
  return runSql(maintenance, 'select datname from pg_database order by 1');
}
