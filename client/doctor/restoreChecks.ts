import { databaseAccess, drillServer, restoreServer } from '../../core/config/open.ts';
import type { Configuration } from '../../core/config/schema.ts';
import type { DatabaseConfiguration } from '../../core/config/sourceSchema.ts';
import { isHoldfastError } from '../../core/errors.ts';
import {
  inspectRestoreRole,
  readDatabaseToRestore,
  type DatabaseToRestore,
  type RestoreRole,
} from '../../core/restore/plan/inspectRestoreRole.ts';
import { failureOf, ok, warning, type Check } from './finding.ts';

/** What the roles that restore and drill each source's database lack. Nothing of it keeps a backup from being made. */
export function restoreChecks(configuration: Configuration): Check[] {
  return Object.entries(configuration.sources).flatMap(([source, { database, drill }]) => {
    if (!database) return [];
    const restores = restoreCheck(configuration, source, database);
    return drill.server ? [restores, drillCheck(configuration, source, database)] : [restores];
  });
}

function restoreCheck(configuration: Configuration, source: string, database: DatabaseConfiguration): Check {
  const user = configuration.sources[source]?.restore.user;
  return {
    subject: `source ${source}, restores`,
    run: async (signal) => {
      try {
        const held = await readDatabaseToRestore(await databaseAccess(database), signal);
        const found = await inspectRestoreRole(
          await restoreServer(configuration, source),
          comparedAs(configuration, source, held),
          signal,
        );
        const another = user === undefined ? ` Or name another role: sources.${source}.restore.user.` : '';
        return describe(found, 'restore this database', another);
      } catch (error) {
        signal.throwIfAborted();
        // Who backs up need not get in where a restore would; who is named for restores has to.
        if (user !== undefined || !isHoldfastError(error)) return [failureOf(error)];
        return [warning(error.message, error.advice)];
      }
    },
  };
}

function drillCheck(configuration: Configuration, source: string, database: DatabaseConfiguration): Check {
  return {
    subject: `source ${source}, drills`,
    run: async (signal) => {
      const server = await drillServer(configuration, source);
      const held = comparedAs(configuration, source, await drilledFrom(database, signal));
      return describe(await inspectRestoreRole(server, held, signal), 'make drills', '');
    },
  };
}

/** A database that cannot be looked at is told of by the check of the database. In drills all belongs to the role. */
async function drilledFrom(database: DatabaseConfiguration, signal: AbortSignal): Promise<DatabaseToRestore> {
  try {
    const { forcedSecurity } = await readDatabaseToRestore(await databaseAccess(database), signal);
    return { forcedSecurity };
  } catch (error) {
    signal.throwIfAborted();
    if (!isHoldfastError(error)) throw error;
    return { forcedSecurity: [] };
  }
}

/** Without a backup that records what tables hold none is read after a restore. */
function comparedAs({ plans }: Configuration, source: string, held: DatabaseToRestore): DatabaseToRestore {
  const own = Object.values(plans).filter((plan) => plan.source === source);
  const uncounted = own.length > 0 && own.every(({ inventory }) => inventory === 'off');
  return uncounted ? { ...held, forcedSecurity: [] } : held;
}

function describe({ role, serverVersion, findings }: RestoreRole, what: string, another: string) {
  if (findings.length === 0) return [ok(`role ${role} may ${what} on PostgreSQL ${serverVersion}`)];
  return findings.map(({ message, advice }) => warning(message, `${advice}${another}`));
}
