import { createHash } from 'node:crypto';
import type pg from 'pg';
import { HoldfastError } from '../../errors.ts';
import { connect, endSession, type DatabaseAccess } from '../../postgres/access.ts';

/**
 * Does work on a database, to be made or there already, that only one process may do at a time, wherever it runs. The
 * server lets go of the lock when the session that holds it ends, with its process at the latest. The work is given a
 * signal that aborts with `signal` and when the lock is lost. Throws RefusedForSafety while another one holds it.
 */
export async function withTargetLock<Result>(
  server: DatabaseAccess,
  target: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const client = await connect(server, signal);
  const lost = new AbortController();
  const onEnd = () =>
    lost.abort(
      new HoldfastError('SourceUnreachable', `the session that keeps others away from database ${target} has ended`, {
        advice: 'Look into the log of the server, and start again.',
      }),
    );
  client.once('end', onEnd);
  try {
    if (!(await lock(client, target)))
      throw new HoldfastError('RefusedForSafety', `Another recovery into database ${target} is under way`, {
        advice: 'Wait for its end, or end it.',
      });
    return await work(AbortSignal.any([signal, lost.signal]));
  } finally {
    client.off('end', onEnd);
    await endSession(client);
  }
}

async function lock(client: pg.Client, target: string): Promise<boolean> {
  const key = createHash('sha256').update(`holdfast recover ${target}`).digest().readBigInt64BE(0).toString();
  const { rows } = await client.query<{ held: boolean }>('select pg_try_advisory_lock($1::bigint) as held', [key]);
  if (rows[0]?.held !== true) return false;
  // Such a lock is one database's, and another process may have come in by another one. Both may step back: neither lies.
  const { rowCount } = await client.query(
    `select from pg_locks where locktype = 'advisory' and objsubid = 1 and granted and pid <> pg_backend_pid()
        and (classid::bigint << 32 | objid::bigint) = $1::bigint`,
    [key],
  );
  return rowCount === 0;
}
