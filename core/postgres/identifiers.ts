/** `"name"`, as SQL and as an exact pattern of pg_dump's -t and --exclude-table-data: quoted, nothing in it is special. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function qualifiedName(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

/** A string constant that means the same whatever standard_conforming_strings says. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

/** `a, b, c and 14 more`. */
export function cutList(names: readonly string[], total: number = names.length, limit = 10): string {
  const shown = names.slice(0, limit).join(', ');
  return total > limit ? `${shown} and ${total - limit} more` : shown;
}

/** libpq's keyword/value strings: single quotes round it, backslash before quote and backslash. */
export function quoteConnectionValue(value: string): string {
  return `'${value.replace(/['\\]/g, '\\$&')}'`;
}
