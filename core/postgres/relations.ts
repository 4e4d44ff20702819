/** What a server makes itself has smaller ones (FirstNormalObjectId). */
export const FIRST_USER_OID = 16384;

/** Schemas, in SQL over pg_namespace `n`, whose objects pg_dump dumps. */
export const USER_SCHEMA = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`;

/**
 * Which relations are the user's, in SQL over pg_class `c` and pg_namespace `n`: the ones pg_dump dumps with the whole
 * database. Tables of an extension count only where the extension marks them as user data (extconfig).
 */
export const USER_RELATION = `${USER_SCHEMA} and c.relpersistence <> 't'`;

export const OF_EXTENSION = `
  exists (select from pg_catalog.pg_depend e where e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    and e.objid = c.oid and e.objsubid = 0 and e.deptype = 'e')`;

const EXTENSION_DATA = `
  exists (select from pg_catalog.pg_extension x where c.oid = any (x.extconfig))`;

export const DUMPED_RELATION = `(${USER_RELATION} and (not ${OF_EXTENSION} or ${EXTENSION_DATA}))`;

/** Tables whose rows or definition pg_dump locks: plain and partitioned ones. */
export const LOCKED_TABLES_SQL = `
  select c.oid::int8::text as oid, n.nspname as schema, c.relname as name
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p') and ${DUMPED_RELATION}
   order by c.oid`;
