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
export function databaseNameWith(name: string, word: 'restored' | 'restoring' | 'before', id: string): string {
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
 * connect while the names change hands.
 */
export function keptDatabase(
  { name, keptAs, template = false }: NonNullable<PlannedDatabase['replaces']>,
  id: string,
): KeptDatabase {
  const [now, old, aside] = [name, keptAs, databaseNameWith(name, 'restored', id)].map(quoteIdentifier);
  return {
    name: keptAs,
    drop: `${template ? `ALTER DATABASE ${old} WITH IS_TEMPLATE false; ` : ''}DROP DATABASE ${old} WITH (FORCE);`,
    goBack: [
      `ALTER DATABASE ${now} WITH ALLOW_CONNECTIONS false;`,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ${quoteLiteral(name)};`,
      `BEGIN; ALTER DATABASE ${now} RENAME TO ${aside}; ALTER DATABASE ${old} RENAME TO ${now}; COMMIT;`,
      `ALTER DATABASE ${aside} WITH ALLOW_CONNECTIONS true;`,
    ],
  };
}
