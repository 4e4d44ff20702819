import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Dependencies } from '../activities/dependencies.ts';
import { createProgressBoard } from '../activities/support/progressBoard.ts';
import { openCatalog, type Catalog } from '../core/catalog/catalog.ts';
import { migrateCatalog } from '../core/catalog/migrate.ts';
import { catalogUrl, loadKeys, openBackends } from '../core/config/open.ts';
import type { Configuration } from '../core/config/schema.ts';
import { resolveSecret } from '../core/config/secret.ts';
import type { DatabaseAccess } from '../core/postgres/access.ts';
import { openSpool } from '../core/spool/spool.ts';
import { createWorkThread } from '../core/thread/workThread.ts';

export interface OpenDependencies extends Dependencies {
  close(): Promise<void>;
}

/** Builds everything the activities need, once. What can be made later is made at its first use. */
export async function openDependencies(configuration: Configuration, log: Logger): Promise<OpenDependencies> {
  const spool = await openSpool(configuration.spool);
  const backends = openBackends(configuration);
  const catalog = migratedCatalog(configuration);
  const work = createWorkThread();
  return {
    configuration,
    backends,
    keys: loadKeys(configuration),
    spool,
    spoolQueue: `${configuration.temporal.taskQueue}-spool-${spool.id}`,
    catalog: catalog.get,
    databaseAccess: (source) => databaseAccess(configuration, source),
    work,
    progress: createProgressBoard(log),
    log,
    holdfastVersion: await packageVersion(),
    async close() {
      backends.close();
      await work.close();
      await catalog.close();
    },
  };
}

/** The password is read anew each time: a rotated one is used without a restart, and none is kept. */
async function databaseAccess({ sources }: Configuration, source: string): Promise<DatabaseAccess | undefined> {
  const database = sources[source]?.database;
  if (database === undefined) return undefined;
  const { password, ...rest } = database;
  return { ...rest, ...(password && { password: await resolveSecret(password) }) };
}

/** Connected and migrated at the first use that succeeds. */
function migratedCatalog(configuration: Configuration) {
  let opened: Promise<Catalog> | undefined;
  const open = async () => {
    const catalog = openCatalog(await catalogUrl(configuration));
    try {
      await migrateCatalog(catalog);
      return catalog;
    } catch (error) {
      opened = undefined;
      await catalog.close();
      throw error;
    }
  };
  return {
    get: () => (opened ??= open()),
    close: async () => (await opened?.catch(() => undefined))?.close(),
  };
}

async function packageVersion(): Promise<string> {
  const text = await readFile(new URL('../package.json', import.meta.url), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}
