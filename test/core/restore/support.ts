import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { findClientPrograms } from '../../../core/postgres/clients.ts';
import type { DatabaseAccess } from '../../../core/postgres/access.ts';
import type { DatabaseDumpOptions } from '../../../core/postgres/dumpOptions.ts';
import type { Inventory, ServerNeeds } from '../../../core/postgres/inventorySchema.ts';
import type { Finding } from '../../../core/postgres/finding.ts';
import type { Manifest } from '../../../core/repository/manifest.ts';
import { preflightTarget } from '../../../core/restore/plan/preflightTarget.ts';
import { chooseRestorePrograms } from '../../../core/restore/database/restorePrograms.ts';
import { restoreDatabase } from '../../../core/restore/database/restoreDatabase.ts';
import type {
  PreflightTargetOptions,
  RestoreCopy,
  RestoreDatabaseOptions,
  RestoredDatabase,
} from '../../../core/restore/run.ts';
import type { Backend } from '../../../core/storage/backend.ts';
import { openLocalBackend } from '../../../core/storage/local.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { createDatabase, testPostgres, type TestDatabase } from '../../support/servers.ts';
import { accessTo, dumpInto, runSql } from '../postgres/support.ts';
import { newBackupKeys, storeBackup, type BackupKeys } from '../repository/storedBackup.ts';

export interface StoredDatabase {
  readonly manifest: Manifest;
  readonly keys: BackupKeys;
  readonly inventory: Inventory;
  readonly globals: string;
  /** Of the pg_dump that made it. */
  readonly clientVersion: string;
  /** A directory with its objects, and the backend over it, for each copy. */
  readonly roots: readonly string[];
  readonly backends: readonly Backend[];
  readonly copies: readonly RestoreCopy[];
}

/** Dumps a database as a backup does and stores it, sealed and signed, on so many local storages. */
export async function backUp(
  context: TestContext,
  source: TestDatabase,
  options: {
    readonly copies?: number;
    readonly dump?: Partial<DatabaseDumpOptions>;
    readonly access?: DatabaseAccess;
    /** Unset: local ones. */
    readonly backends?: readonly Backend[];
  } = {},
): Promise<StoredDatabase> {
  const access = options.access ?? accessTo(source);
  const { directory, inventory, parts, clientVersion } = await dumpInto(context, access, options.dump);
  const keys = newBackupKeys();
  const roots: string[] = [];
  for (let count = 0; count < (options.copies ?? 1); count += 1) roots.push(await temporaryDirectory(context));
  const local = roots.map((path, index) => openLocalBackend(`copy-${index + 1}`, { type: 'local', path }));
  const backends = options.backends ?? local;
  const plain = await Promise.all(
    parts.map(async (part) => {
      const format = part === 'inventory' ? 'json' : part === 'globals' ? 'sql' : 'pg_dump-custom';
      return { part, format, bytes: await readFile(join(directory, part)) } as const;
    }),
  );
  const manifest = await storeBackup(backends, keys, plain);
  return {
    manifest,
    keys,
    inventory,
    clientVersion,
    globals: await readFile(join(directory, 'globals'), 'utf8'),
    roots,
    backends,
    copies: backends.map((backend) => ({ backend: backend.name, open: async () => backend })),
  };
}

/** The shared server's own maintenance database. */
export function maintenance(): DatabaseAccess {
  return accessTo({ ...testPostgres(), name: 'postgres' });
}

/** A name for a database that does not exist yet, dropped after the test where it came to be. */
export async function newTarget(context: TestContext): Promise<TestDatabase> {
  const database = await createDatabase(context);
  await onServer(`drop database ${database.name}`);
  return database;
}

export async function onServer(sql: string): Promise<Record<string, unknown>[]> {
  return runSql({ ...testPostgres(), name: 'postgres' }, sql);
}

/** What stands under a target's name, and under the names that its restore gives to what is not finished. */
export async function databasesLike(target: string): Promise<string[]> {
  const own = createHash('sha256').update(`test/${target}`).digest('hex').slice(0, 16);
  const rows = await onServer(
    `select datname from pg_database where datname = '${target}' or datname ~ '^holdfast_new_${own}' order by 1`,
  );
  return rows.map((row) => String(row.datname));
}

/** What the look at the server finds, but for its room. */
export async function findingsOf(
  backup: Pick<StoredDatabase, 'manifest' | 'inventory' | 'globals'>,
  changes: Partial<PreflightTargetOptions> = {},
): Promise<Finding[]> {
  const { findings } = await preflightTarget({
    manifest: backup.manifest,
    description: backup,
    server: maintenance(),
    target: 'holdfast_test_nowhere',
    ...changes,
  });
  return findings.filter(({ message }) => !/how much room/.test(message));
}

/** The backup of a database that needs something else. */
export function needing(
  backup: StoredDatabase,
  changes: Partial<ServerNeeds>,
  database: Partial<Inventory['database']> = {},
): StoredDatabase {
  const { needs } = backup.inventory;
  assert.ok(needs);
  const inventory = {
    ...backup.inventory,
    needs: { ...needs, ...changes },
    database: { ...backup.inventory.database, ...database },
  };
  return { ...backup, inventory };
}

export async function serverMajor(): Promise<number> {
  const [server] = await onServer(`select current_setting('server_version_num')::int / 10000 as major`);
  return Number(server?.major);
}

export async function restore(
  backup: StoredDatabase,
  target: TestDatabase,
  changes: Partial<RestoreDatabaseOptions> = {},
): Promise<RestoredDatabase> {
  return restoreDatabase({
    copies: backup.copies,
    manifest: backup.manifest,
    openingKeys: [backup.keys.aes],
    server: maintenance(),
    target: target.name,
    mark: `test/${target.name}`,
    jobs: 2,
    clients:
      changes.clients ??
      chooseRestorePrograms(await findClientPrograms([testPostgres().binDirectory]), backup.clientVersion),
    ...changes,
  });
}
