import type pg from 'pg';
import type { NotCarried } from './inventorySchema.ts';
import { DUMPED_RELATION, FIRST_USER_OID, USER_RELATION } from './relations.ts';

/**
 * What belongs to this database and is in no dump of it, by PostgreSQL's own rules (pg_dump's manual page and source):
 * state of replication, subscriptions where the role that dumps is no superuser, transactions waiting for their second phase, rows that live elsewhere or that a standby lacks,
 * indexes that failed to be built, what somebody made in pg_catalog, owners of extensions, whether the triggers behind
 * foreign keys and deferrable constraints fire (pg_dump reads those of users only). Security labels are in it and load only
 * where their provider is loaded. A child's columns come back behind those it inherits (its CREATE TABLE ... INHERITS puts
 * them there). A partition of a partition loses the identity that servers from 17 on give it: it is attached while its parent has none yet.
 */
export async function readNotCarried(client: pg.Client): Promise<NotCarried[]> {
  const { rows } = await client.query<NotCarried>(`
    with recursive this as (select oid, datname from pg_database where datname = current_database()),
    ${MOVED_COLUMNS}
    select kind, name from (
      select 'replication slot' as kind, slot_name::text as name from pg_replication_slots, this where database = datname
      union all
      select case when ${DUMPS_SUBSCRIPTIONS} then 'subscription state' else 'subscription' end, quote_ident(s.subname) from pg_subscription s, this where s.subdbid = this.oid
      union all
      select 'prepared transaction', gid from pg_prepared_xacts, this where database = datname
      union all
      select case c.relkind when 'f' then 'rows of foreign table' else 'rows of unlogged table' end,
             format('%I.%I', n.nspname, c.relname)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where (c.relkind = 'f' or (c.relkind = 'r' and c.relpersistence = 'u' and pg_is_in_recovery())) and ${DUMPED_RELATION}
      union all
      select 'invalid index', format('%I.%I', n.nspname, c.relname)
        from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
       where not i.indisvalid and c.relkind = 'i' and ${USER_RELATION}
      union all
      select 'security label', concat_ws(' ', l.provider, 'on', (pg_identify_object(l.classoid, l.objoid, l.objsubid)).identity)
        from pg_seclabel l
      union all
      select 'security label of database', concat_ws(': ', l.provider, l.label)
        from pg_shseclabel l, this where l.classoid = 'pg_database'::regclass and l.objoid = this.oid
      union all
      select 'order of columns', format('%I.%I', n.nspname, c.relname)
        from moved join pg_class c on c.oid = moved.relation join pg_namespace n on n.oid = c.relnamespace
       where ${DUMPED_RELATION}
      union all
      select 'identity of partition', format('%I.%I.%I', n.nspname, c.relname, a.attname)
        from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_namespace n on n.oid = c.relnamespace
        join pg_class p on p.oid = i.inhparent and p.relispartition
        join pg_attribute a on a.attrelid = c.oid and a.attidentity <> '' and not a.attisdropped
       where c.relispartition and ${DUMPED_RELATION}
      union all
      select 'object in a system schema', identity.type || ' ' || identity.identity
        from (select 'pg_proc'::regclass as classid, oid, pronamespace as namespace from pg_proc
              union all select 'pg_class'::regclass, oid, relnamespace from pg_class where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
              union all select 'pg_type'::regclass, oid, typnamespace from pg_type t where typtype in ('d', 'e', 'r') or (typtype = 'b' and typelem = 0)
              union all select 'pg_operator'::regclass, oid, oprnamespace from pg_operator) o
       cross join lateral pg_identify_object(o.classid, o.oid, 0) identity
       where o.oid >= ${FIRST_USER_OID} and o.namespace::regnamespace::text in ('pg_catalog', 'information_schema')
         and not exists (select from pg_depend d where d.classid = o.classid and d.objid = o.oid and d.deptype in ('e', 'i'))
      union all
      select 'owner of extension', concat_ws(', ', quote_ident(e.extname), quote_ident(r.rolname))
        from pg_extension e join pg_roles r on r.oid = e.extowner where not r.rolsuper
      union all
      select 'enabled state of constraint', format('%I on %I.%I', k.conname, n.nspname, c.relname)
        from (select distinct tgrelid, tgconstraint from pg_trigger
               where tgisinternal and tgconstraint <> 0 and tgenabled <> 'O') t
        join pg_constraint k on k.oid = t.tgconstraint
        join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
       where ${DUMPED_RELATION}
      union all
      select 'options of user mapping', concat_ws(' on ', m.usename, quote_ident(m.srvname))
        from pg_user_mappings m join pg_foreign_server s on s.oid = m.srvid
       where m.umoptions is null and m.usename <> current_user and not pg_has_role(s.srvowner, 'usage')) found
     order by kind, name collate "C"`);
  return rows;
}

/** What pg_dump asks its session too (getSubscriptions); every role sees that they are there. */
const DUMPS_SUBSCRIPTIONS = `current_setting('is_superuser')::bool`;

export async function dumpsSubscriptions(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ dumps: boolean }>(`select ${DUMPS_SUBSCRIPTIONS} as dumps`);
  return rows[0]?.dumps === true;
}

/** Children whose own columns stand before inherited ones, and their children. Partitions are attached, and keep theirs. */
const MOVED_COLUMNS = `
    places as (
      select a.attrelid as relation, row_number() over (partition by a.attrelid order by a.attnum) as now,
             row_number() over (partition by a.attrelid order by inherited.place nulls last, a.attnum) as restored
        from pg_attribute a join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'f') and not c.relispartition
       cross join lateral (
         select min(array[i.inhseqno, p.attnum]) as place from pg_inherits i
           join pg_attribute p on p.attrelid = i.inhparent and p.attname = a.attname and p.attnum > 0
          where i.inhrelid = a.attrelid) inherited
       where a.attnum > 0 and not a.attisdropped and exists (select from pg_inherits i where i.inhrelid = a.attrelid)),
    moved as (
      select relation from places where now <> restored
      union select i.inhrelid from moved join pg_inherits i on i.inhparent = moved.relation)`;
