import type pg from 'pg';
import { HoldfastError } from '../../errors.ts';
import { queryError, type DatabaseAccess } from '../../postgres/access.ts';
import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts';
import { onServer } from './onServer.ts';
import { renameDatabases, type Renaming } from './renameDatabases.ts';
import { commentOn, isLeftOver } from './targetDatabase.ts';
import { ownComment } from './targetMark.ts';

/** Which database takes whose place. */
export interface Swap {
  /** A maintenance connection, to neither of them. Its role owns both, may create databases and end their sessions. */
  readonly server: DatabaseAccess;
  /** The name under which the application finds its database. */
  readonly name: string;
  /** Name of the database that comes into its place. */
  readonly next: string;
  /** Name under which the one in place is kept. */
  readonly keptAs: string;
  /** Name under which the next one is set aside where the swap is taken back after it was in place. */
  readonly setAsideAs: string;
  /** Which databases these are, whatever they are called meanwhile: from `databaseOids`, before the first try. */
  readonly oids: { readonly old: string; readonly next: string };
  /** Of the restore that made the next one with `keepMark`: it goes in the very transaction that puts the database in place. */
  readonly mark?: string | undefined;
}

/**
 * `before`: nothing was exchanged. `done`: the next one is in place. `undone`: it was, and the one of before is again.
 * `neither`: what is there fits no swap.
 */
export type SwapState = 'before' | 'done' | 'undone' | 'neither';

/**
 * Puts the next database in place and keeps the one of before under another name: both renames in one transaction, so that
 * whenever this is cut off either the old one or the new one is in place. Nothing happens where it is done already.
 *
 * Throws RefusedForSafety where other databases are there than were expected, SourceBusy when sessions of it do not end,
 * SourceUnreachable, SourceRefused, and the signal's reason.
 */
export async function swapDatabases(swap: Swap, signal?: AbortSignal): Promise<void> {
  await exchange(
    swap,
    'done',
    [
      [swap.name, swap.keptAs],
      [swap.next, swap.name],
    ],
    signal,
  );
}

/**
 * Takes the swap back: the database of before is in place again. The next one is set aside and has no mark any more, so
 * that no clean-up drops what an application may have written into it. Answers `before` where it never was in place.
 */
export async function undoSwap(swap: Swap, signal?: AbortSignal): Promise<'before' | 'undone'> {
  if ((await swapState(swap, signal)) === 'before') return 'before';
  await exchange(
    swap,
    'undone',
    [
      [swap.name, swap.setAsideAs],
      [swap.keptAs, swap.name],
    ],
    signal,
  );
  return 'undone';
}

/** PostgreSQL's numbers of databases, undefined for one that is not there. */
export async function databaseOids(
  server: DatabaseAccess,
  names: readonly string[],
  signal?: AbortSignal,
): Promise<(string | undefined)[]> {
  return onServer(server, signal, (client) => oidsOf(client, names));
}

/** What a look at the databases tells. */
export async function swapState({ server, ...names }: Swap, signal?: AbortSignal): Promise<SwapState> {
  return onServer(server, signal, (client) => stateOf(client, names));
}

async function exchange(swap: Swap, wanted: SwapState, renamings: readonly Renaming[], signal?: AbortSignal) {
  const work = async (client: pg.Client) => {
    const state = await stateOf(client, swap);
    if (state === wanted) return undefined;
    if (state !== (wanted === 'done' ? 'before' : 'done')) throw notAsExpected(swap);
    return { renamings, comments: wanted === 'done' ? await unmarking(client, swap.next, swap.mark) : [] };
  };
  try {
    await renameDatabases(swap.server, work, signal);
  } catch (error) {
    throw queryError(swap.server, `putting database ${swap.next} in place of ${swap.name}`, error);
  }
}

/** Statements that give a database its own comment in place of its mark. */
export async function unmarking(client: pg.Client, name: string, mark: string | undefined): Promise<string[]> {
  if (mark === undefined || !(await isLeftOver(client, name, mark))) return [];
  const own = ownComment(await commentOn(client, name));
  return [`COMMENT ON DATABASE ${quoteIdentifier(name)} IS ${own === null ? 'NULL' : quoteLiteral(own)}`];
}

async function stateOf(client: pg.Client, swap: Omit<Swap, 'server'>): Promise<SwapState> {
  const { name, next, keptAs, setAsideAs, oids } = swap;
  const [inPlace, atNext, atKept, aside] = await oidsOf(client, [name, next, keptAs, setAsideAs]);
  if (inPlace === oids.next && atNext === undefined && atKept === oids.old) return 'done';
  if (inPlace !== oids.old || atKept !== undefined) return 'neither';
  if (atNext === oids.next) return 'before';
  return aside === oids.next ? 'undone' : 'neither';
}

/** The same in a session that is open. */
export async function oidsOf(client: pg.Client, names: readonly string[]): Promise<(string | undefined)[]> {
  const { rows } = await client.query<{ oid: string; name: string }>(
    'select oid::text, datname as name from pg_database where datname = any($1)',
    [names],
  );
  return names.map((name) => rows.find((row) => row.name === name)?.oid);
}

function notAsExpected({ name, next, keptAs }: Swap): HoldfastError {
  return new HoldfastError(
    'RefusedForSafety',
    `The databases ${name}, ${next} and ${keptAs} are not as the swap left or expects them`,
    { advice: 'Somebody renamed or dropped one of them: look with \\l in psql, and rename them by hand.' },
  );
}
