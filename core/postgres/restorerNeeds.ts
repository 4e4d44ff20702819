import type pg from 'pg';
import type { ServerNeeds } from './inventorySchema.ts';
import { DUMPED_RELATION, USER_RELATION, USER_SCHEMA } from './relations.ts';

/** What a restore of the database one is connected to asks of the roles that restore and own it. Every role may read it. */
export async function readRestorerNeeds(
  client: pg.Client,
): Promise<Required<Pick<ServerNeeds, 'grantors' | 'closedToOwners' | 'forcedSecurity' | 'securedFills'>>> {
  const grantors = await client.query<{ grantor: string; objects: string[] }>(GRANTORS);
  const fills = await client.query<NonNullable<ServerNeeds['securedFills']>[number]>(SECURED_FILLS);
  const closed = await client.query<{ object: string }>(CLOSED_TO_OWNERS);
  return {
    grantors: grantors.rows,
    closedToOwners: closed.rows.map(({ object }) => object),
    forcedSecurity: await readForcedSecurity(client),
    securedFills: fills.rows,
  };
}

/** Tables that nobody reads whole but superusers and roles with BYPASSRLS. */
export async function readForcedSecurity(client: pg.Client): Promise<NonNullable<ServerNeeds['forcedSecurity']>> {
  const { rows } = await client.query<{ schema: string; name: string }>(`
    select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and c.relrowsecurity and c.relforcerowsecurity and ${DUMPED_RELATION}
     order by n.nspname collate "C", c.relname collate "C"`);
  return rows;
}

/** Whoever holds a privilege with grant option may give it on, and stands in it as the one who did. */
const GRANTORS = `
  with privileges(classid, objid, owner, acl) as (
    select 'pg_class'::regclass, c.oid, c.relowner, c.relacl from pg_class c join pg_namespace n on n.oid = c.relnamespace where ${USER_RELATION}
    union all
    select 'pg_class'::regclass, c.oid, c.relowner, a.attacl from pg_attribute a join pg_class c on c.oid = a.attrelid
      join pg_namespace n on n.oid = c.relnamespace where a.attacl is not null and ${USER_RELATION}
    union all
    select 'pg_proc'::regclass, p.oid, p.proowner, p.proacl from pg_proc p join pg_namespace n on n.oid = p.pronamespace where ${USER_SCHEMA}
    union all
    select 'pg_type'::regclass, t.oid, t.typowner, t.typacl from pg_type t join pg_namespace n on n.oid = t.typnamespace where ${USER_SCHEMA}
    union all
    select 'pg_namespace'::regclass, n.oid, n.nspowner, n.nspacl from pg_namespace n where ${USER_SCHEMA}
    union all
    select 'pg_language'::regclass, l.oid, l.lanowner, l.lanacl from pg_language l
    union all
    select 'pg_foreign_data_wrapper'::regclass, f.oid, f.fdwowner, f.fdwacl from pg_foreign_data_wrapper f
    union all
    select 'pg_foreign_server'::regclass, s.oid, s.srvowner, s.srvacl from pg_foreign_server s
    union all
    select 'pg_largeobject'::regclass, m.oid, m.lomowner, m.lomacl from pg_largeobject_metadata m where m.lomacl is not null)
  select grantor, array_agg(object order by object) as objects
    from (select distinct pg_get_userbyid(x.grantor)::text as grantor,
                 (pg_identify_object(p.classid, p.objid, 0)).identity collate "C" as object
            from privileges p, aclexplode(p.acl) x where x.grantor <> p.owner) found
   group by grantor order by grantor`;

const CLOSED_TO_OWNERS = `
  select object from (
    select (pg_identify_object('pg_namespace'::regclass, n.oid, 0)).identity collate "C" as object from pg_namespace n
     where ${USER_SCHEMA} and not has_schema_privilege(n.nspowner, n.oid, 'usage')
    union all
    select (pg_identify_object('pg_class'::regclass, c.oid, 0)).identity from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'm', 'S') and ${USER_RELATION} and not has_table_privilege(c.relowner, c.oid, 'select')) closed
   order by object`;

/**
 * What a view reads it reads as its owner, unless it says security_invoker, and a materialized view is filled as its own.
 * What functions read is not seen.
 */
const SECURED_FILLS = `
  with recursive reads(view, relation, reader) as (
    select c.oid, c.oid, c.relowner from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'm' and c.relispopulated and ${USER_RELATION}
    union
    select r.view, c.oid,
           case when c.relkind = 'v' and coalesce(array_to_string(c.reloptions, ','), '') !~ 'security_invoker=(true|on|yes|1)' then c.relowner else r.reader end
      from reads r join pg_class own on own.oid = r.relation and (own.relkind = 'v' or own.oid = r.view)
      join pg_rewrite w on w.ev_class = r.relation and w.rulename = '_RETURN'
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
      join pg_class c on c.oid = d.refobjid and c.oid <> r.relation)
  select (pg_identify_object('pg_class'::regclass, r.view, 0)).identity as view, pg_get_userbyid(r.reader)::text as reader,
         (pg_identify_object('pg_class'::regclass, t.oid, 0)).identity as "table", pg_get_userbyid(t.relowner)::text as owner, t.relforcerowsecurity as forced
    from reads r join pg_class t on t.oid = r.relation
   where t.relkind in ('r', 'p') and t.relrowsecurity
   order by 1, 3, 2`;
