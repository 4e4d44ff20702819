import { HoldfastError, isHoldfastError } from '../../errors.ts';
import type { DatabaseAccess } from '../../postgres/access.ts';
import { quoteIdentifier } from '../../postgres/identifiers.ts';
import { inSession } from '../../postgres/inSession.ts';
import type { Finding } from '../../postgres/finding.ts';

const LOOKING = 'looking what it holds';

/**
 * Throws RefusedForSafety when a database holds Holdfast's own catalog or Temporal's store, also one of another
 * installation: what runs the restore, or another's restores, would be lost with it. So is one that nobody can look into:
 * it may hold them. A database that does not exist holds neither.
 */
export async function refuseOwnStores(server: DatabaseAccess, name: string, signal?: AbortSignal): Promise<void> {
  const finding = await ownStoreFinding(server, name, signal);
  if (finding === undefined) return;
  const { type, message, advice } = finding;
  throw new HoldfastError(type, message, { advice });
}

/** The same as a failure of a plan. Throws SourceUnreachable. */
export async function ownStoreFinding(
  server: DatabaseAccess,
  name: string,
  signal?: AbortSignal,
): Promise<Finding | undefined> {
  const acceptsConnections = await lookUp(server, name, signal);
  if (acceptsConnections === undefined) return undefined;
  if (!acceptsConnections)
    return refusal(
      `database ${name} accepts no connections: what it holds cannot be looked at, nor be backed up`,
      `Keep the application away by other means, and: ALTER DATABASE ${quoteIdentifier(name)} WITH ALLOW_CONNECTIONS true;`,
    );
  try {
    const held = await ownStoreIn({ ...server, name }, signal);
    if (held === undefined) return undefined;
    return refusal(
      `database ${name} holds ${held}`,
      'It is never restored over. Restore under another name and put it in place by hand.',
    );
  } catch (error) {
    signal?.throwIfAborted();
    if (!isHoldfastError(error) || error.type === 'SourceUnreachable') throw error;
    return refusal(`what database ${name} holds cannot be looked at: ${error.message}`, error.advice ?? '');
  }
}

/** What it holds, in words. */
function ownStoreIn(access: DatabaseAccess, signal?: AbortSignal): Promise<string | undefined> {
  return inSession(access, LOOKING, signal, async (client) => {
    const { rows } = await client.query<{ catalog: boolean; temporal: boolean }>(`
      select to_regclass('holdfast.migrations') is not null and to_regclass('holdfast.backups') is not null as catalog,
             exists (select from pg_class where relkind in ('r', 'p') and relname in ('executions', 'history_node', 'schema_version')
                      group by relnamespace having count(*) = 3) as temporal`);
    if (rows[0]?.catalog) return "Holdfast's catalog";
    return rows[0]?.temporal ? "Temporal's store" : undefined;
  });
}

/** Whether it accepts connections; undefined where there is none of that name. */
function lookUp(server: DatabaseAccess, name: string, signal?: AbortSignal): Promise<boolean | undefined> {
  return inSession(server, LOOKING, signal, async (client) => {
    const { rows } = await client.query<{ accepts: boolean }>(
      'select datallowconn as accepts from pg_database where datname = $1',
      [name],
    );
    return rows[0]?.accepts;
  });
}

function refusal(message: string, advice: string): Finding {
  return { severity: 'failure', type: 'RefusedForSafety', message, advice };
}
