import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Dependencies } from '../activities/dependencies.ts';
import { createProgressBoard } from '../activities/support/progressBoard.ts';
import { openCatalog, type Catalog } from '../core/catalog/catalog.ts';
import { learnedFrom } from '../core/catalog/probes.ts';
import { migrateCatalog } from '../core/catalog/migrate.ts';
import { catalogUrl, databaseAccess, loadKeys, openBackends } from '../core/config/open.ts';
import type { Configuration } from '../core/config/schema.ts';
import { removeOrphanedDirectories } from '../core/process/temporaryDirectory.ts';
import { openSpool } from '../core/spool/spool.ts';
import { createWorkThread } from '../core/thread/workThread.ts';

export interface OpenDependencies extends Dependencies {
  close(): Promise<void>;
}

/** Builds everything the activities need, once. What can be made later is made at its first use. */
export async function openDependencies(
  configuration: Configuration,
  log: Logger,
  stopping: AbortSignal,
): Promise<OpenDependencies> {
  const spool = await openSpool(configuration.spool);
  await removeOrphanedDirectories();
  const catalog = migratedCatalog(configuration);
  const learned = learnedFrom(catalog.get, (reason) =>
    log.warn({ reason }, 'what probes of the backends found cannot be looked up; their profiles hold'),
  );
  const backends = openBackends(configuration, learned);
  const work = createWorkThread();
  return {
    configuration,
    backends,
    keys: loadKeys(configuration),
    spool,
    host: hostname(),
    stopping,
    spoolQueue: `${configuration.temporal.taskQueue}-spool-${spool.id}`,
    catalog: catalog.get,
    // The password is read anew each time: a rotated one is used without a restart, and none is kept.
    databaseAccess: async (source) => {
      const database = configuration.sources[source]?.database;
      return database && (await databaseAccess(database));
    },
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

/** Connected and migrated at the first use that succeeds. */
function migratedCatalog(configuration: Configuration) {
  let opened: Promise<Catalog> | undefined;
  const open = async () => {
    const catalog = openCatalog(await catalogUrl(configuration));
    try {
      await migrateCatalog(catalog);
      return catalog;
    } catch (error) {
      await catalog.close();
      throw error;
    }
  };
  const openOrForget = () =>
    open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
  return {
    get: () => (opened ??= openOrForget()),
    close: async () => (await opened?.catch(() => undefined))?.close(),
  };
}

async function packageVersion(): Promise<string> {
  const text = await readFile(new URL('../package.json', import.meta.url), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}
