import type pg from 'pg';
import type { DatabaseAccess } from '../../postgres/access.ts';
import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts';
import { dropDatabase } from './dropDatabase.ts';
import { dropLines } from '../names.ts';
import type { LeftAlone } from './leftAlone.ts';
import { ownStoreFinding } from '../plan/ownStores.ts';
import { onServer } from './onServer.ts';
import {
  COMMENT_START,
  isMarked,
  isNewborn,
  newbornPattern,
  ownComment,
  readMark,
  scopeOf,
  type FoundDatabase,
} from './targetMark.ts';

export interface DeadTargets {
  /** Names of those that are, or were, dropped. */
  readonly dropped: readonly string[];
  readonly left: readonly LeftAlone[];
}

/**
 * Removes what other runs of the mark's scope left, which the caller knows to be dead: databases that are still what a
 * mark made, by comment, number and name. Left alone is what was renamed, what somebody uses, whatever holds Holdfast's
 * catalog or Temporal's store, and what has one of the names to spare, the databases of the configuration.
 */
export async function dropDeadTargets(
  server: DatabaseAccess,
  mark: string,
  spared: readonly string[],
): Promise<DeadTargets> {
  return onServer(server, undefined, async (client) => {
    const { dead, left } = await look(client, server, mark, spared, adviceFor);
    for (const database of dead) await dropDatabase(client, server, database);
    return { dropped: dead.map(({ name }) => name), left };
  });
}

/**
 * What `dropDeadTargets` would remove, and what it would leave alone, for who does not know which runs are dead: no advice
 * of its harms one that lives. Changes nothing.
 */
export async function findDeadTargets(
  server: DatabaseAccess,
  mark: string,
  spared: readonly string[],
): Promise<DeadTargets> {
  return onServer(server, undefined, async (client) => {
    const { dead, left } = await look(client, server, mark, spared, adviceUnlessAlive);
    return { dropped: dead.map(({ name }) => name), left };
  });
}

interface Candidate extends FoundDatabase {
  /** Without the server's own. */
  readonly sessions: number;
  /** A DROP DATABASE was cut off: it holds nothing any more, and nobody can connect to it. */
  readonly invalid: boolean;
}

async function look(
  client: pg.Client,
  server: DatabaseAccess,
  mark: string,
  spared: readonly string[],
  advise: (database: Candidate) => string,
) {
  const dead: FoundDatabase[] = [];
  const left: LeftAlone[] = [];
  for (const database of await candidates(client, mark)) {
    const why = await whyLeft(database, server, spared);
    if (why === undefined) dead.push(database);
    else left.push({ name: database.name, why, advice: advise(database) });
  }
  return { dead, left };
}

async function candidates(client: pg.Client, mark: string): Promise<Candidate[]> {
  const scope = scopeOf(mark);
  const { rows } = await client.query<Candidate>(
    `select oid::text, datname as name, shobj_description(oid, 'pg_database') as comment,
            (select count(*)::int from pg_stat_activity a
              where a.datid = d.oid and backend_type is distinct from 'autovacuum worker') as sessions,
            datconnlimit = -2 as invalid
       from pg_database d
      where starts_with(shobj_description(oid, 'pg_database'), $1) or datname ~ $2 order by datname`,
    [`${COMMENT_START}${scope}/`, newbornPattern(scope)],
  );
  return rows.filter((database) => !isMarked(database, mark) && !isNewborn(database, mark));
}

async function whyLeft(
  database: Candidate,
  server: DatabaseAccess,
  spared: readonly string[],
): Promise<string | undefined> {
  const { name, comment, sessions, invalid } = database;
  if (spared.includes(name)) return 'the configuration names it';
  const written = readMark(database);
  const asMade =
    written === undefined ? comment === null : isMarked(database, written.mark) || isNewborn(database, written.mark);
  if (!asMade) return 'it is not, or no longer, what a restore made under this name';
  if (sessions > 0) return `${sessions} sessions are in it`;
  return invalid ? undefined : (await ownStoreFinding(server, name))?.message;
}

/** Sessions may be those of the programs of a restore that runs. */
function adviceUnlessAlive(database: Candidate): string {
  if (database.sessions === 0) return adviceFor(database);
  return 'Look first whether a restore of the source runs: then it is at work in it, and all is well. Where none runs, find out whose the sessions are (pg_stat_activity): once nobody is in it, the next restore of the source drops it.';
}

function adviceFor({ name, comment }: FoundDatabase): string {
  const own = ownComment(comment);
  const kept = `COMMENT ON DATABASE ${quoteIdentifier(name)} IS ${own === null ? 'NULL' : quoteLiteral(own)};`;
  return `If nobody needs it: ${dropLines(name, {}).join(' ')} If somebody does: ${kept}`;
}
