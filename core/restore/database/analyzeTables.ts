import { messageOf } from '../../errors.ts';
import { connect, endSession, queryError, type DatabaseAccess } from '../../postgres/access.ts';
import { qualifiedName } from '../../postgres/identifiers.ts';
import { inSession } from '../../postgres/inSession.ts';
import { DUMPED_RELATION } from '../../postgres/relations.ts';

/**
 * Collects statistics on every table, the largest first, in so many sessions: dumps carry none, and without them the
 * first queries get bad plans. A partitioned table is done with all its partitions. A table that cannot be analyzed
 * (a function of an index expression fails) is a warning.
 */
export async function analyzeTables(database: DatabaseAccess, jobs: number, signal?: AbortSignal): Promise<string[]> {
  const warnings: string[] = [];
  const queue = (await listTables(database, signal)).values();
  const sessions = Array.from({ length: jobs }, () => analyzeFrom(database, queue, warnings, signal));
  const ended = await Promise.allSettled(sessions);
  for (const end of ended) if (end.status === 'rejected') throw end.reason;
  return warnings;
}

async function listTables(database: DatabaseAccess, signal?: AbortSignal): Promise<string[]> {
  return inSession(database, 'listing tables', signal, async (client) => {
    const { rows } = await client.query<{ schema: string; name: string }>(`
      select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind in ('r', 'p', 'm') and not c.relispartition and c.relispopulated and ${DUMPED_RELATION}
       order by (select sum(pg_table_size(coalesce(t.relid, c.oid))) from pg_partition_tree(c.oid) t) desc nulls last, 1, 2`);
    return rows.map(({ schema, name }) => qualifiedName(schema, name));
  });
}

async function analyzeFrom(
  database: DatabaseAccess,
  queue: Iterable<string>,
  warnings: string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const client = await connect(database, signal);
  const stop = () => void endSession(client);
  signal?.addEventListener('abort', stop, { once: true });
  try {
    await client.query('set synchronous_commit = off');
    for (const table of queue) {
      signal?.throwIfAborted();
      await client.query(`analyze ${table}`).catch((error: unknown) => {
        signal?.throwIfAborted();
        const failure = queryError(database, `analyzing ${table}`, error);
        if (failure.type === 'SourceUnreachable') throw failure;
        warnings.push(`No statistics of ${table}: ${messageOf(error)}`);
      });
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    await endSession(client);
  }
}
