import { quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';
import { backupId } from '../repository/backupId.ts';
import type { KeptDatabase, PlannedDatabase } from './flow.ts';

/** PostgreSQL's NAMEDATALEN is 64, with the zero at its end. */
const LONGEST_NAME = 63;

/** The id of a restore, e.g. `20261120_020000_7f3k9q`: it becomes part of names that nobody should have to quote. */
export function restoreId(now: Date, random: () => number): string {
  return backupId(now, random).replace('T', '_').replace('Z-', '_');
}

/** E.g. `shop_before_20261120_020000_7f3k9q`, with as much of the name as fits into PostgreSQL's 63 bytes. */
export function databaseNameWith(
  name: string,
  word: 'restored' | 'restoring' | 'before' | 'undone',
  id: string,
): string {
  const ending = `_${word}_${id}`;
  const characters = Array.from(name);
  while (bytesOf(characters.join('') + ending) > LONGEST_NAME) characters.pop();
  return characters.join('') + ending;
}

/** Workflows have no Buffer. */
function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Whose an unfinished database is. One source's restores exclude each other, seen from one set of workers. */
export function restoreMark(taskQueue: string, source: string, id: string): string {
  return `restore/${taskQueue.replaceAll(/[^\w.:-]/g, '-')}/${source}/${id}`;
}

/**
 * For who wants the old database back, or is done with it: SQL for a session in another database of its server. Nobody may
 * connect while the names change hands; whether or not they did, everybody may again afterwards.
 */
export function keptDatabase(
  { name, keptAs, template, subscriptions }: NonNullable<PlannedDatabase['replaces']>,
  id: string,
): KeptDatabase {
  const names = [name, keptAs, databaseNameWith(name, 'restored', id)];
  const [now, old, aside] = names.map(quoteIdentifier);
  const all = names.map(quoteLiteral).join(', ');
  const each = (statement: string) =>
    block(
      `DECLARE it name; BEGIN FOR it IN SELECT datname FROM pg_database WHERE datname IN (${all}) LOOP EXECUTE format('${statement}', it); END LOOP; END`,
    );
  return {
    name: keptAs,
    ...droppedBy(keptAs, { template, subscriptions }),
    goBack: [
      each('ALTER DATABASE %I WITH ALLOW_CONNECTIONS false'),
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (${all}) AND pid <> pg_backend_pid();`,
      block(
        `BEGIN ALTER DATABASE ${now} RENAME TO ${aside}; ALTER DATABASE ${old} RENAME TO ${now}; EXCEPTION WHEN OTHERS THEN RAISE WARNING 'nothing was renamed: %', SQLERRM; END`,
      ),
      each('ALTER DATABASE %I WITH ALLOW_CONNECTIONS true'),
      block(
        `BEGIN IF EXISTS (SELECT FROM pg_database WHERE datname = ${quoteLiteral(keptAs)}) THEN RAISE EXCEPTION 'everything is as it was: see the warning above'; END IF; END`,
      ),
    ],
  };
}

/** What keeps a database from being dropped as it is. */
export interface DropHindrances {
  readonly template?: boolean | undefined;
  /** Names of its subscriptions. */
  readonly subscriptions?: readonly string[] | undefined;
}

/** `drop` is for a session in another database of the server, after `parting`, in a session in the database itself. */
export function droppedBy(
  name: string,
  { template, subscriptions }: DropHindrances,
): Pick<KeptDatabase, 'drop' | 'parting'> {
  const database = quoteIdentifier(name);
  const first = template ? `ALTER DATABASE ${database} WITH IS_TEMPLATE false; ` : '';
  return {
    ...(subscriptions && subscriptions.length > 0 && { parting: partingSql(subscriptions) }),
    drop: `${first}DROP DATABASE ${database} WITH (FORCE);`,
  };
}

/** The same for psql. */
export function dropLines(name: string, hindrances: DropHindrances): string[] {
  const { parting, drop } = droppedBy(name, hindrances);
  return inPsql(name, parting, drop);
}

/** Subscriptions can only be dropped by a session in their database, and that database only by one in another. */
export function inPsql(name: string, parting: KeptDatabase['parting'], drop: string): string[] {
  if (parting === undefined) return [drop];
  return [`\\connect ${quoteIdentifier(name)}`, ...parting, '\\connect postgres', drop];
}

/** The slots at the publishers stay: another database may be what they are for. */
function partingSql(subscriptions: readonly string[]): string[] {
  return [
    'SET default_transaction_read_only = off;',
    ...subscriptions
      .map(quoteIdentifier)
      .flatMap((each) => [
        `ALTER SUBSCRIPTION ${each} DISABLE;`,
        `ALTER SUBSCRIPTION ${each} SET (slot_name = NONE);`,
        `DROP SUBSCRIPTION ${each};`,
      ]),
  ];
}

/** A name may hold what would end the block. */
function block(body: string): string {
  let tag = '$swap$';
  while (body.includes(tag)) tag = `$_${tag.slice(1)}`;
  return `DO ${tag} ${body} ${tag};`;
}
