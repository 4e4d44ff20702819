import type pg from 'pg';
import { connectionLost } from '../../postgres/access.ts';

/** Milliseconds. What takes longer is no answer. */
const STATEMENT_PATIENCE = 10_000;
/**
 * Tries a statement out and takes it back. Answers with the server's error, undefined where there was none. Rejects when
 * the session is gone, or gives no answer at all.
 */
export async function tryStatement(
  client: pg.Client,
  sql: string,
  patience = STATEMENT_PATIENCE,
): Promise<Error | undefined> {
  await client.query('begin');
  try {
    await client.query(`set local statement_timeout = ${patience}; set local lock_timeout = ${patience}`);
    // A server that does not even end the statement is not waited for. The driver's types leave this out for one query.
    await client.query({ text: sql, query_timeout: 2 * patience } as pg.QueryConfig);
    await client.query('rollback');
    return undefined;
  } catch (error) {
    if (connectionLost(error) || !(error instanceof Error) || !('severity' in error)) throw error;
    await client.query('rollback');
    return error;
  }
}
