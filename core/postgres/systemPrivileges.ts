import type pg from 'pg';
import type { SystemPrivileges } from './inventorySchema.ts';
import { FIRST_USER_OID } from './relations.ts';

/**
 * Privileges on what no dump makes itself (the server's own objects and members of extensions), where they are others than
 * initdb or CREATE EXTENSION gave: by the difference, as pg_dump carries them, because another server or version may give
 * others. Every role may read it. The owner, who restores, has no name here. Left out is what
 * pg_dump leaves out: information_schema, the languages sql, c and internal, types that come with others.
 */
export async function readSystemPrivileges(client: pg.Client): Promise<SystemPrivileges[]> {
  const { rows } = await client.query<SystemPrivileges>(CHANGED);
  return rows;
}

/**
 * Who may do what; the option to grant it on counts as one more. MAINTAIN exists from 17 on, and who held ALL before holds it
 * after a restore. Roles that are gone are left out: what initdb or an extension gave them is still on record.
 */
const heldIn = (acl: string) => `
  select grantee, privilege
    from (select case when x.grantee = 0 then 'public' when x.grantee in (c.owner, x.grantor) then '(owner)' else quote_ident(r.rolname) end as grantee,
                 x.privilege_type, x.is_grantable
            from aclexplode(${acl}) x left join pg_roles r on r.oid = x.grantee
           where not (x.privilege_type = 'MAINTAIN' and 7 = (
                   select count(distinct y.privilege_type) from aclexplode(${acl}) y
                    where y.grantee = x.grantee and y.privilege_type <> 'MAINTAIN'))) held,
         unnest(array[privilege_type, case when is_grantable then privilege_type || ' with grant option' end]) privilege
   where grantee is not null and privilege is not null`;

const words = (joining: string, query: string) => `
  array(select concat_ws(' ', privilege, '${joining}', grantee) collate "C" from (${query}) each order by 1)`;

/** Thousands of objects are held against their first privileges as they stand, and only what is not the same is looked into. */
const CHANGED = `
  with object(classid, objid, objsubid, acl_kind, owner, acl) as (
    select 'pg_class'::regclass, oid, 0, case relkind when 'S' then 's' else 'r' end::"char", relowner, relacl from pg_class
    union all
    select 'pg_class'::regclass, c.oid, a.attnum, 'c', c.relowner, a.attacl from pg_attribute a join pg_class c on c.oid = a.attrelid
    union all
    select 'pg_proc'::regclass, oid, 0, 'f', proowner, proacl from pg_proc
    union all
    select 'pg_type'::regclass, t.oid, 0, 'T', t.typowner, t.typacl from pg_type t left join pg_class c on c.oid = t.typrelid
     where t.typtype in ('b', 'd', 'e', 'r') or c.relkind = 'c'
    union all
    select 'pg_namespace'::regclass, oid, 0, 'n', nspowner, nspacl from pg_namespace
    union all
    select 'pg_language'::regclass, oid, 0, 'l', lanowner, lanacl from pg_language where lanispl
    union all
    select 'pg_foreign_data_wrapper'::regclass, oid, 0, 'F', fdwowner, fdwacl from pg_foreign_data_wrapper
    union all
    select 'pg_foreign_server'::regclass, oid, 0, 'S', srvowner, srvacl from pg_foreign_server),
  changed as (
    select o.*, coalesce(o.acl, acldefault(o.acl_kind, o.owner)) as now, coalesce(p.initprivs, acldefault(o.acl_kind, o.owner)) as first
      from object o left join pg_init_privs p on p.classoid = o.classid and p.objoid = o.objid and p.objsubid = o.objsubid
     where o.acl is distinct from p.initprivs
       and (o.objid < ${FIRST_USER_OID} or exists (
             select from pg_depend e where e.classid = o.classid and e.objid = o.objid and e.deptype = 'e')))
  select i.type as kind, i.identity, held.granted, held.revoked
    from changed c, pg_identify_object(c.classid, c.objid, c.objsubid) i,
         lateral (select ${words('to', `${heldIn('c.now')} except ${heldIn('c.first')}`)} as granted,
                         ${words('from', `${heldIn('c.first')} except ${heldIn('c.now')}`)} as revoked) held
   where (c.objid >= ${FIRST_USER_OID} or coalesce(i.schema, case when i.type = 'schema' then i.name end, 'pg_catalog') = 'pg_catalog')
     and (held.granted <> '{}' or held.revoked <> '{}')
   order by i.type collate "C", i.identity collate "C"`;
