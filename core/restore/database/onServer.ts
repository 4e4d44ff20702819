import type pg from 'pg';
import { connect, endSession, type DatabaseAccess } from '../../postgres/access.ts';

/** Does work in a session of its own. */
export async function onServer<Result>(
  server: DatabaseAccess,
  signal: AbortSignal | undefined,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = await connect(server, signal);
  try {
    return await work(client);
  } finally {
    await endSession(client);
  }
}
