import { FIRST_USER_OID, USER_RELATION, USER_SCHEMA } from './relations.ts';

/**
 * One query for each kind of object that has a definition. Each gives the rows
 *   classid, objid   the object, for pg_identify_object
 *   definition       text that says all of it but its name, owner, privileges and comment
 *   spelled          whether the server prints the definition from a parse tree (see digest.ts)
 *   owner            role, or null
 *   acl, acl_kind    privileges and the kind that acldefault() knows them by, or null
 * Members of extensions are left out by the reader of these.
 */
/** Options of foreign data in the order that pg_dump writes them in. */
const optionsOf = (options: string) =>
  `(select string_agg(option, ',' order by option collate "C") from unnest(${options}) option)`;

/**
 * From 18 on a column's NOT NULL is a constraint that can be not valid, not be inherited, and have a comment. Its name stays
 * out: that of a partition's can be another one after a restore.
 */
const NOT_NULL = `
  (select nullif(concat_ws(' ', case when not k.convalidated then 'not valid' end, case when k.connoinherit then 'no inherit' end,
            obj_description(k.oid, 'pg_constraint')), '')
     from pg_constraint k where k.conrelid = a.attrelid and k.contype = 'n' and k.conkey = array[a.attnum])`;

/**
 * From 17 on partitions share the identity of their parent; what is a partition of a partition loses it in a dump and restore,
 * which attaches it to its parent first (notCarried.ts).
 */
const IDENTITY = `
  (select nullif(a.attidentity, '') from pg_class own where own.oid = a.attrelid and not own.relispartition)`;

const columnsOf = (relation: string, order: string) => `
  (select string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
            case when a.attnotnull then 'not null' end, ${NOT_NULL}, ${IDENTITY}, nullif(a.attgenerated, ''),
            pg_get_expr(d.adbin, d.adrelid), case when a.attcollation <> 0 then a.attcollation::regcollation::text end,
            a.attstorage, nullif(a.attcompression, ''), nullif(a.attstattarget, -1), array_to_string(a.attoptions, ','),
            ${optionsOf('a.attfdwoptions')}, col_description(a.attrelid, a.attnum),
            (select string_agg(concat_ws(' ', coalesce(g.rolname, 'public'), x.privilege_type, x.is_grantable), ';' order by g.rolname, x.privilege_type)
               from aclexplode(a.attacl) x left join pg_roles g on g.oid = x.grantee)), E'\\n' order by ${order})
     from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = ${relation} and a.attnum > 0 and not a.attisdropped)`;

const tablespaceOf = (oid: string) => `(select spcname from pg_tablespace where oid = ${oid})`;

const RELATIONS = `
  select 'pg_class'::regclass, c.oid,
         concat_ws(E'\\n', c.relkind, c.relpersistence, c.relreplident, c.relrowsecurity, c.relforcerowsecurity,
           c.relispopulated, array_to_string(c.reloptions, ','), ${tablespaceOf('c.reltablespace')},
           (select array_to_string(t.reloptions, ',') from pg_class t where t.oid = c.reltoastrelid),
           (select amname from pg_am where oid = c.relam), case when c.reloftype <> 0 then c.reloftype::regtype::text end,
           case when c.relkind = 'p' then pg_get_partkeydef(c.oid) end, pg_get_expr(c.relpartbound, c.oid),
           (select string_agg(i.inhparent::regclass::text, ',' order by i.inhseqno) from pg_inherits i where i.inhrelid = c.oid),
           case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
           (select concat_ws(' ', s.srvname, ${optionsOf('f.ftoptions')}) from pg_foreign_table f
              join pg_foreign_server s on s.oid = f.ftserver where f.ftrelid = c.oid),
           (select concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
              from pg_sequence s where s.seqrelid = c.oid),
           ${columnsOf('c.oid', 'a.attname')}),
         true, c.relowner, c.relacl, case c.relkind when 'S' then 's' else 'r' end::"char"
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and ${USER_RELATION}`;

const INDEXES = `
  select 'pg_class'::regclass, c.oid,
         concat_ws(E'\\n', pg_get_indexdef(c.oid), i.indisclustered, i.indisreplident, ${tablespaceOf('c.reltablespace')},
           (select h.inhparent::regclass::text from pg_inherits h where h.inhrelid = c.oid),
           (select string_agg(concat_ws(' ', a.attnum, a.attstattarget), ',' order by a.attnum) from pg_attribute a
             where a.attrelid = c.oid and a.attstattarget >= 0)),
         true, null::oid, null::aclitem[], null::"char"
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
   where (i.indisvalid or c.relkind = 'I') and ${USER_RELATION}`;

/** Not-null ones are columns' business; foreign keys of partitions get names of the server's own making. */
const CONSTRAINTS = `
  select 'pg_constraint'::regclass, k.oid, concat_ws(E'\\n', pg_get_constraintdef(k.oid), k.convalidated), true, null::oid, null::aclitem[], null::"char"
    from pg_constraint k join pg_namespace n on n.oid = k.connamespace
   where k.contype in ('c', 'f', 'p', 'u', 'x') and not (k.contype = 'f' and k.conparentid <> 0)
     and ${USER_SCHEMA}`;

/** Servers before 15 count among the internal ones what a partitioned table's trigger has become on its partitions. */
const TRIGGERS = `
  select 'pg_trigger'::regclass, t.oid, concat_ws(E'\\n', pg_get_triggerdef(t.oid), t.tgenabled), true, null::oid, null::aclitem[], null::"char"
    from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
   where (not t.tgisinternal or (t.tgparentid <> 0 and t.tgconstraint = 0)) and ${USER_RELATION}`;

const RULES = `
  select 'pg_rewrite'::regclass, r.oid, concat_ws(E'\\n', pg_get_ruledef(r.oid), r.ev_enabled), true, null::oid, null::aclitem[], null::"char"
    from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
   where r.rulename <> '_RETURN' and ${USER_RELATION}`;

const POLICIES = `
  select 'pg_policy'::regclass, p.oid,
         concat_ws(E'\\n', p.polcmd, p.polpermissive,
           (select string_agg(coalesce(g.rolname, 'public'), ',' order by g.rolname)
              from unnest(p.polroles) m(oid) left join pg_roles g on g.oid = m.oid),
           'using ' || pg_get_expr(p.polqual, p.polrelid), 'check ' || pg_get_expr(p.polwithcheck, p.polrelid)),
         true, null::oid, null::aclitem[], null::"char"
    from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
   where ${USER_RELATION}`;

const FUNCTIONS = `
  select 'pg_proc'::regclass, p.oid,
         case when p.prokind = 'a' then
           (select concat_ws(E'\\n', a.aggkind, a.aggnumdirectargs, a.aggtransfn::text, a.aggfinalfn::text, a.aggcombinefn::text,
                     a.aggserialfn::text, a.aggdeserialfn::text, a.aggmtransfn::text, a.aggminvtransfn::text, a.aggmfinalfn::text,
                     a.aggsortop::regoperator::text, a.aggtranstype::regtype::text, a.agginitval, a.aggminitval, p.proparallel)
              from pg_aggregate a where a.aggfnoid = p.oid)
         else pg_get_functiondef(p.oid) end,
         p.prosqlbody is not null, p.proowner, p.proacl, 'f'::"char"
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
   where ${USER_SCHEMA}`;

/**
 * Not the row types of tables, nor the array and multirange types that come with others. A domain's default is stored as it
 * was printed when it was made too, and means the same where another search_path printed it.
 */
const TYPES = `
  select 'pg_type'::regclass, t.oid,
         concat_ws(E'\\n', t.typtype,
           (select string_agg(quote_literal(e.enumlabel), ',' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid),
           case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end, t.typnotnull, coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault),
           case when t.typcollation <> 0 then t.typcollation::regcollation::text end,
           (select concat_ws(' ', r.rngsubtype::regtype, r.rngcollation::regcollation, r.rngcanonical::text, r.rngsubdiff::text)
              from pg_range r where r.rngtypid = t.oid),
           case when t.typtype = 'b' then concat_ws(' ', t.typinput, t.typoutput, t.typlen, t.typalign, t.typstorage) end,
           case when t.typtype = 'c' then ${columnsOf('t.typrelid', 'a.attnum')} end),
         true, t.typowner, t.typacl, 'T'::"char"
    from pg_type t join pg_namespace n on n.oid = t.typnamespace
   where ${USER_SCHEMA} and t.typtype in ('b', 'c', 'd', 'e', 'r')
     and not exists (select from pg_type e where e.typarray = t.oid)
     and (t.typtype <> 'c' or exists (select from pg_class c where c.oid = t.typrelid and c.relkind = 'c'))`;

const OPERATORS = `
  select 'pg_operator'::regclass, o.oid,
         concat_ws(' ', o.oprcode::text, o.oprcom::regoperator, o.oprnegate::regoperator, o.oprrest::text, o.oprjoin::text, o.oprcanmerge, o.oprcanhash),
         false, o.oprowner, null::aclitem[], null::"char"
    from pg_operator o join pg_namespace n on n.oid = o.oprnamespace where ${USER_SCHEMA}
  union all
  select 'pg_opclass'::regclass, o.oid,
         concat_ws(' ', (pg_identify_object('pg_opfamily'::regclass, o.opcfamily, 0)).identity, o.opcintype::regtype, o.opcdefault, o.opckeytype::regtype),
         false, o.opcowner, null::aclitem[], null::"char"
    from pg_opclass o join pg_namespace n on n.oid = o.opcnamespace where ${USER_SCHEMA}
  union all
  select 'pg_opfamily'::regclass, o.oid,
         concat_ws(E'\\n',
           (select string_agg(concat_ws(' ', a.amopopr::regoperator, a.amopstrategy, a.amoppurpose), ',' order by a.amopopr::regoperator::text, a.amopstrategy)
              from pg_amop a where a.amopfamily = o.oid),
           (select string_agg(concat_ws(' ', a.amproc::regprocedure, a.amprocnum), ',' order by a.amproc::regprocedure::text, a.amprocnum)
              from pg_amproc a where a.amprocfamily = o.oid)),
         false, o.opfowner, null::aclitem[], null::"char"
    from pg_opfamily o join pg_namespace n on n.oid = o.opfnamespace where ${USER_SCHEMA}`;

/**
 * Left out of a collation: the provider's version, which belongs to the machine, and the encoding, which is any for a
 * copy of "C" and the database's own once it was restored.
 */
const COLLATIONS_AND_CONVERSIONS = `
  select 'pg_collation'::regclass, c.oid,
         (to_jsonb(c) - 'oid' - 'collname' - 'collnamespace' - 'collowner' - 'collversion' - 'collencoding')::text, false, c.collowner, null::aclitem[], null::"char"
    from pg_collation c join pg_namespace n on n.oid = c.collnamespace where ${USER_SCHEMA}
  union all
  select 'pg_conversion'::regclass, c.oid,
         concat_ws(' ', pg_encoding_to_char(c.conforencoding), pg_encoding_to_char(c.contoencoding), c.conproc::text, c.condefault),
         false, c.conowner, null::aclitem[], null::"char"
    from pg_conversion c join pg_namespace n on n.oid = c.connamespace where ${USER_SCHEMA}`;

/** Their names are stored with quotes or without, as quote_all_identifiers was when they were made. */
const UNQUOTED_OPTIONS = String.raw`regexp_replace(t.dictinitoption, '(^|, )"([a-z_][a-z0-9_]*)" = ', '\1\2 = ', 'g')`;

const TEXT_SEARCH = `
  select 'pg_ts_config'::regclass, t.oid,
         (select string_agg(concat_ws(' ', m.maptokentype, m.mapseqno, m.mapdict::regdictionary), ',' order by m.maptokentype, m.mapseqno)
            from pg_ts_config_map m where m.mapcfg = t.oid), false, t.cfgowner, null::aclitem[], null::"char"
    from pg_ts_config t join pg_namespace n on n.oid = t.cfgnamespace where ${USER_SCHEMA}
  union all
  select 'pg_ts_dict'::regclass, t.oid, concat_ws(' ', (select tmplname from pg_ts_template where oid = t.dicttemplate), ${UNQUOTED_OPTIONS}),
         false, t.dictowner, null::aclitem[], null::"char"
    from pg_ts_dict t join pg_namespace n on n.oid = t.dictnamespace where ${USER_SCHEMA}
  union all
  select 'pg_ts_parser'::regclass, t.oid, concat_ws(' ', t.prsstart::text, t.prstoken::text, t.prsend::text, t.prslextype::text), false, null::oid, null::aclitem[], null::"char"
    from pg_ts_parser t join pg_namespace n on n.oid = t.prsnamespace where ${USER_SCHEMA}
  union all
  select 'pg_ts_template'::regclass, t.oid, concat_ws(' ', t.tmplinit::text, t.tmpllexize::text), false, null::oid, null::aclitem[], null::"char"
    from pg_ts_template t join pg_namespace n on n.oid = t.tmplnamespace where ${USER_SCHEMA}`;

const STATISTICS = `
  select 'pg_statistic_ext'::regclass, s.oid, concat_ws(' ', pg_get_statisticsobjdef(s.oid), nullif(s.stxstattarget, -1)),
         true, s.stxowner, null::aclitem[], null::"char"
    from pg_statistic_ext s join pg_namespace n on n.oid = s.stxnamespace where ${USER_SCHEMA}`;

/** Options of servers and user mappings that the role may not see are null, and then left out. */
const FOREIGN = `
  select 'pg_foreign_data_wrapper'::regclass, f.oid, concat_ws(' ', f.fdwhandler::regproc, f.fdwvalidator::regproc, ${optionsOf('f.fdwoptions')}),
         false, f.fdwowner, f.fdwacl, 'F'::"char" from pg_foreign_data_wrapper f
  union all
  select 'pg_foreign_server'::regclass, s.oid, concat_ws(' ', w.fdwname, s.srvtype, s.srvversion, ${optionsOf('s.srvoptions')}),
         false, s.srvowner, s.srvacl, 'S'::"char" from pg_foreign_server s join pg_foreign_data_wrapper w on w.oid = s.srvfdw
  union all
  select 'pg_user_mapping'::regclass, m.umid, ${optionsOf('m.umoptions')}, false, null::oid, null::aclitem[], null::"char" from pg_user_mappings m`;

const REPLICATION = `
  select 'pg_publication'::regclass, p.oid,
         (to_jsonb(p) - 'oid' - 'pubname' - 'pubowner')::text, false, p.pubowner, null::aclitem[], null::"char" from pg_publication p
  union all
  select 'pg_subscription'::regclass, s.oid, concat_ws(' ', s.subslotname, array_to_string(s.subpublications, ',')), false, s.subowner, null::aclitem[], null::"char"
    from pg_subscription s where s.subdbid = (select oid from pg_database where datname = current_database())`;

const PUBLISHED_14 = `
  select 'pg_publication_rel'::regclass, r.oid, '', false, null::oid, null::aclitem[], null::"char" from pg_publication_rel r`;

/** The publication's own row filter and columns, and whole schemas, exist from 15 on. */
const PUBLISHED_15 = `
  select 'pg_publication_rel'::regclass, r.oid,
         concat_ws(' ', pg_get_expr(r.prqual, r.prrelid),
           (select string_agg(quote_ident(a.attname), ',' order by a.attname) from pg_attribute a
             where a.attrelid = r.prrelid and a.attnum = any (r.prattrs::int2[]))),
         true, null::oid, null::aclitem[], null::"char"
    from pg_publication_rel r
  union all
  select 'pg_publication_namespace'::regclass, r.oid, '', false, null::oid, null::aclitem[], null::"char" from pg_publication_namespace r`;

const OTHERS = `
  select 'pg_namespace'::regclass, n.oid, '', false, n.nspowner, n.nspacl, 'n'::"char" from pg_namespace n where ${USER_SCHEMA}
  union all
  select 'pg_language'::regclass, l.oid, concat_ws(' ', l.lanpltrusted, l.lanplcallfoid::regproc, l.laninline::regproc, l.lanvalidator::regproc),
         false, l.lanowner, l.lanacl, 'l'::"char" from pg_language l where l.lanispl
  union all
  select 'pg_cast'::regclass, c.oid, concat_ws(' ', c.castfunc::regprocedure, c.castcontext, c.castmethod), false, null::oid, null::aclitem[], null::"char" from pg_cast c
  union all
  select 'pg_transform'::regclass, t.oid, concat_ws(' ', t.trffromsql::regprocedure, t.trftosql::regprocedure), false, null::oid, null::aclitem[], null::"char" from pg_transform t
  union all
  select 'pg_am'::regclass, a.oid, concat_ws(' ', a.amtype, a.amhandler::regproc), false, null::oid, null::aclitem[], null::"char" from pg_am a
  union all
  select 'pg_event_trigger'::regclass, e.oid, concat_ws(' ', e.evtevent, e.evtfoid::regproc, e.evtenabled, array_to_string(e.evttags, ',')),
         false, e.evtowner, null::aclitem[], null::"char" from pg_event_trigger e
  union all
  select 'pg_extension'::regclass, e.oid, '', false, null::oid, null::aclitem[], null::"char" from pg_extension e
  union all
  select 'pg_default_acl'::regclass, d.oid,
         (select string_agg(concat_ws(' ', coalesce(g.rolname, 'public'), x.privilege_type, x.is_grantable), ';' order by g.rolname, x.privilege_type)
            from aclexplode(d.defaclacl) x left join pg_roles g on g.oid = x.grantee),
         false, null::oid, null::aclitem[], null::"char" from pg_default_acl d`;

/** Of a table: every privilege that there was before 17. */
const HAS_ALL_ELSE = `7 = (
  select count(distinct y.privilege_type) from aclexplode(o.acl) y where y.grantee = x.grantee and y.privilege_type <> 'MAINTAIN')`;

export function objectQueries(serverMajor: number): string[] {
  const queries = [
    RELATIONS,
    INDEXES,
    CONSTRAINTS,
    TRIGGERS,
    RULES,
    POLICIES,
    FUNCTIONS,
    TYPES,
    OPERATORS,
    COLLATIONS_AND_CONVERSIONS,
    TEXT_SEARCH,
    STATISTICS,
    FOREIGN,
    REPLICATION,
    serverMajor >= 15 ? PUBLISHED_15 : PUBLISHED_14,
    OTHERS,
  ];
  return queries.map(withIdentity);
}

/**
 * Rows of a query above with what is the same for every kind. Built-in objects are left out, the schema public is not.
 * Servers before 15 print a transform's identity in another way. MAINTAIN exists from 17 on, and whoever held ALL before
 * holds it after a restore.
 */
function withIdentity(query: string): string {
  return `
    with objects(classid, objid, definition, spelled, owner, acl, acl_kind) as (${query})
    select i.type as kind, i.identity, o.definition, o.spelled, pg_get_userbyid(o.owner) as owner,
           obj_description(o.objid, o.classid::regclass::name) as comment,
           case when o.acl_kind is not null then (
             select coalesce(string_agg(concat_ws(' ', coalesce(g.rolname, 'public'), x.privilege_type, x.is_grantable), ';'
                      order by g.rolname nulls first, x.privilege_type), '')
               from aclexplode(coalesce(o.acl, acldefault(o.acl_kind, o.owner))) x left join pg_roles g on g.oid = x.grantee
              where not (x.privilege_type = 'MAINTAIN' and (x.grantee = o.owner or ${HAS_ALL_ELSE}))) end as privileges
      from objects o, lateral (
             select type, case when type = 'transform' then regexp_replace(identity, ' on (language .*)$', ' \\1') else identity end as identity
               from pg_identify_object(o.classid, o.objid, 0)) i
     where (o.objid >= ${FIRST_USER_OID} or o.classid = 'pg_namespace'::regclass)
       and not exists (select from pg_depend e where e.classid = o.classid and e.objid = o.objid and e.deptype = 'e')
     order by i.type collate "C", i.identity collate "C"`;
}
