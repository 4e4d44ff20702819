import type pg from 'pg';
import { connect, endSession, queryError, type DatabaseAccess } from './access.ts';

/**
 * Does work in a session of its own. `doing`: what an error says was being done, e.g. `reading the catalogs`. Rejects with
 * what `connect` and `queryError` make of errors, and the signal's reason.
 */
export async function inSession<Result>(
  access: DatabaseAccess,
  doing: string,
  signal: AbortSignal | undefined,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = await connect(access, signal);
  try {
    return await work(client);
  } catch (error) {
    signal?.throwIfAborted();
    throw queryError(access, doing, error);
  } finally {
    await endSession(client);
  }
}
