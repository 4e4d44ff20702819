/*
 * Entries of an archive's table of contents as pg_restore prints them: in lists
 *   215; 1259 16385 TABLE public orders shop
 * and, without the schema, in errors
 *   pg_restore: from TOC entry 215; 1259 16385 TABLE orders shop
 * No field is quoted, so what stands where is known only from the kinds there are.
 */

export interface ArchiveEntry {
  readonly id: number;
  /** OIDs at the source: of the catalog and of the object in it. */
  readonly catalog: string;
  readonly object: string;
  /** E.g. `TABLE DATA`. */
  readonly kind: string;
  /** Schema (`-` where it has none), name (of what belongs to a table `table name`) and owner, divided by spaces. */
  readonly rest: string;
  /** Of a list with dependencies. */
  readonly dependsOn: readonly number[];
}

/** Kinds of more than one word (pg_dump's source); every other is one word. */
const KINDS_OF_WORDS = [
  'ACCESS METHOD',
  'ACL LANGUAGE',
  'BLOB COMMENTS',
  'BLOB METADATA',
  'CHECK CONSTRAINT',
  'DATABASE PROPERTIES',
  'DEFAULT ACL',
  'EVENT TRIGGER',
  'FK CONSTRAINT',
  'FOREIGN DATA WRAPPER',
  'FOREIGN SERVER',
  'FOREIGN TABLE',
  'INDEX ATTACH',
  'LARGE OBJECT',
  'MATERIALIZED VIEW DATA',
  'MATERIALIZED VIEW',
  'OPERATOR CLASS',
  'OPERATOR FAMILY',
  'PROCEDURAL LANGUAGE',
  'PUBLICATION TABLES IN SCHEMA',
  'PUBLICATION TABLE',
  'ROW SECURITY',
  'SECURITY LABEL',
  'SEQUENCE OWNED BY',
  'SEQUENCE SET',
  'SHELL TYPE',
  'STATISTICS DATA',
  'SUBSCRIPTION TABLE',
  'TABLE ATTACH',
  'TABLE DATA',
  'TEXT SEARCH CONFIGURATION',
  'TEXT SEARCH DICTIONARY',
  'TEXT SEARCH PARSER',
  'TEXT SEARCH TEMPLATE',
  'USER MAPPING',
];

const ENTRY = new RegExp(`^(\\d+); (\\d+) (\\d+) (${KINDS_OF_WORDS.join('|')}|[A-Z]+) (.*)$`);

/**
 * Reads what `pg_restore --list` printed, with `--verbose` their dependencies too. A name with a line break stands
 * there with a space in its place.
 */
export function parseList(list: string): ArchiveEntry[] {
  const entries: ArchiveEntry[] = [];
  for (const line of list.split('\n')) {
    const depends = /^;\s+depends on: ([\d ]+)/.exec(line)?.[1];
    const last = entries.at(-1);
    if (depends !== undefined && last) {
      entries[entries.length - 1] = { ...last, dependsOn: depends.trim().split(' ').map(Number) };
      continue;
    }
    const [, id, catalog = '', object = '', kind = '', rest = ''] = ENTRY.exec(line) ?? [];
    if (id === undefined) continue;
    entries.push({ id: Number(id), catalog, object, kind, rest, dependsOn: [] });
  }
  return entries;
}

/**
 * Says which object an error is about, in words: `index public.orders_at`. `entries` are of the definitions' archive;
 * in an archive of rows the ids are others, and the table's OID is what it is known by.
 */
export function describeEntry(errorLine: string, entries: readonly ArchiveEntry[]): string | undefined {
  const printed = /from TOC entry (.*)$/.exec(errorLine)?.[1];
  const [, id, catalog = '', object = '', kind = '', text = ''] = ENTRY.exec(printed ?? '') ?? [];
  if (id === undefined) return undefined;
  // Lists leave the owner empty where errors say that there is none: extensions and comments on them have none.
  const rest = text.replace(/ \(no owner\)$/, ' ');
  const same = entries.find(
    (entry) =>
      entry.object === object &&
      object !== '0' &&
      (catalog === '0' || entry.catalog === catalog) &&
      entry.rest.endsWith(` ${rest}`),
  );
  const schema = same?.rest.slice(0, -rest.length - 1);
  // The last word is the owner.
  const tag = rest.replace(/ [^ ]*$/, '');
  const name = schema === undefined || schema === '-' ? tag : `${schema}.${tag}`;
  return kind === 'TABLE DATA' ? `rows of table ${name}` : `${kind.toLowerCase()} ${name}`;
}
