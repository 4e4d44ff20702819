import type pg from 'pg';
import type { CheckConfiguration } from '../../config/sourceSchema.ts';
import { messageOf } from '../../errors.ts';
import { connect, connectionLost, endSession, queryError, type DatabaseAccess } from '../../postgres/access.ts';

/** What one of the source's own checks came to on a restored database. */
export interface CheckOutcome {
  readonly name: string;
  readonly passed: boolean;
  /** What came instead of true: for people. */
  readonly found?: string;
}

/** Milliseconds. A check is a question, not a report. */
const CHECK_TIMEOUT = 10 * 60_000;

/**
 * Asks a restored database what the source wants to be true of it. A query that fails is a check that does not pass.
 * Nothing it does stays: it is one statement, in a transaction that only reads and is rolled back. Throws SourceUnreachable,
 * SourceRefused, and the signal's reason.
 */
export async function runChecks(
  database: DatabaseAccess,
  checks: readonly CheckConfiguration[],
  signal?: AbortSignal,
): Promise<CheckOutcome[]> {
  if (checks.length === 0) return [];
  const client = await connect(database, signal);
  const stop = () => void client.end();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    // As the application would find them: its own search path, row-level security, and role.
    await client.query('RESET search_path; RESET row_security; RESET role; RESET default_transaction_read_only');
    const outcomes: CheckOutcome[] = [];
    for (const check of checks) outcomes.push(await runCheck(client, check, database));
    return outcomes;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
    await endSession(client);
  }
}

async function runCheck(
  client: pg.Client,
  { name, sql }: CheckConfiguration,
  database: DatabaseAccess,
): Promise<CheckOutcome> {
  try {
    await client.query(`BEGIN READ ONLY; SET LOCAL statement_timeout = ${CHECK_TIMEOUT}`);
    // The extended protocol takes one statement: a second one could leave the transaction.
    const { rows } = await client.query<unknown[]>({
      text: sql,
      rowMode: 'array',
      queryMode: 'extended',
    } as pg.QueryArrayConfig);
    const value = rows[0]?.[0];
    if (value === true) return { name, passed: true };
    return { name, passed: false, found: rows.length === 0 ? 'no row' : String(value) };
  } catch (error) {
    if (connectionLost(error)) throw queryError(database, `the check "${name}"`, error);
    return { name, passed: false, found: ofOneStatement(messageOf(error)) };
  } finally {
    await client.query('ROLLBACK').catch(() => undefined);
  }
}

function ofOneStatement(message: string): string {
  return /multiple commands into a prepared statement/.test(message) ? `a check is one statement: ${message}` : message;
}
