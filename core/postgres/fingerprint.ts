import { quoteIdentifier } from './identifiers.ts';

export interface FingerprintColumn {
  readonly name: string;
  readonly nullable: boolean;
}

/** Functions take at most 100 arguments (PostgreSQL's FUNC_MAX_ARGS). */
const MOST_ARGUMENTS = 90;
const SEPARATOR = String.raw`E'\x1f'`;

/**
 * An SQL aggregate over a table's rows that does not depend on their order and notices duplicates: the sum of a 64-bit
 * hash of each row's text, as a decimal. The columns are those a dump carries (no generated ones), ordered by name,
 * because a restore can order an inheriting table's columns differently.
 *
 * concat_ws costs half of record_out here, which looks at each character for quotes. It skips nulls, so for columns
 * that can be null it is told which are.
 */
export function fingerprintExpression(columns: readonly FingerprintColumn[]): string {
  const parts = columns.flatMap(({ name, nullable }) => {
    const column = `t.${quoteIdentifier(name)}`;
    return nullable ? [`${column} is null`, column] : [column];
  });
  return `coalesce(sum(hashtextextended(${joined(parts)} collate "C", 0)), 0)::text`;
}

function joined(parts: readonly string[]): string {
  if (parts.length <= MOST_ARGUMENTS) return `concat_ws(${[SEPARATOR, "''", ...parts].join(', ')})`;
  const groups: string[] = [];
  for (let start = 0; start < parts.length; start += MOST_ARGUMENTS)
    groups.push(joined(parts.slice(start, start + MOST_ARGUMENTS)));
  return joined(groups);
}
