import { databaseAccess } from '../../core/config/open.ts';
import type { Configuration } from '../../core/config/schema.ts';
import type { DatabaseConfiguration, FileTreeConfiguration } from '../../core/config/sourceSchema.ts';
import { inspectTree } from '../../core/files/inspectTree.ts';
import { inspectDatabase } from '../../core/postgres/preflight.ts';
import { formatBytes, formatCount } from '../../core/format.ts';
import { failure, ok, warning, type Check } from './finding.ts';

/** What would keep each source's database and trees from being backed up, and the grant or step that mends it. */
export function sourceChecks(configuration: Configuration): Check[] {
  return Object.entries(configuration.sources).flatMap(([source, { database, files }]) => [
    ...(database ? [databaseCheck(source, database)] : []),
    ...Object.entries(files).map(([tree, settings]) => treeCheck(source, tree, settings)),
  ]);
}

function databaseCheck(source: string, database: DatabaseConfiguration): Check {
  return {
    subject: `source ${source}, database`,
    run: async (signal) => {
      const { server, clients, findings } = await inspectDatabase(await databaseAccess(database), { signal });
      const found = findings.map(({ severity, message, advice }) =>
        severity === 'failure' ? failure(message, advice) : warning(message, advice),
      );
      if (findings.some(({ severity }) => severity === 'failure')) return found;
      const by = clients ? `, dumped by pg_dump ${clients.version}` : '';
      return [ok(`${database.name} on PostgreSQL ${server.version} can be read whole${by}`), ...found];
    },
  };
}

function treeCheck(source: string, tree: string, settings: FileTreeConfiguration): Check {
  return {
    subject: `source ${source}, ${tree}`,
    run: async (signal) => {
      const { findings, files, bytes } = await inspectTree(tree, settings, signal);
      const found = findings.map(({ level, message, advice }) =>
        level === 'failed' ? failure(message, advice) : warning(message, advice),
      );
      return found.length > 0 ? found : [ok(`${settings.path}: ${formatCount(files, 'file')}, ${formatBytes(bytes)}`)];
    },
  };
}
