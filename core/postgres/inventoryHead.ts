import type pg from 'pg';
import { describeDatabaseRow, readDatabaseSettings } from './databaseSettings.ts';
import { qualifiedName } from './identifiers.ts';
import type { InventoryJob } from './inventoryJob.ts';
import { digest } from './digest.ts';
import { INVENTORY_FORMAT, INVENTORY_VERSION, type Inventory } from './inventorySchema.ts';
import { readNotCarried } from './notCarried.ts';
import { DUMPED_RELATION } from './relations.ts';
import { readServerNeeds } from './serverNeeds.ts';
import { readSystemPrivileges } from './systemPrivileges.ts';

/** All of the inventory but its long lists. */
export async function readInventoryHead(job: InventoryJob): Promise<Omit<Inventory, 'objects' | 'tables'>> {
  const { client } = job;
  return {
    format: INVENTORY_FORMAT,
    version: INVENTORY_VERSION,
    detail: job.detail,
    serverVersion: job.server.version,
    database: await readDatabaseHead(client),
    extensions: await readExtensions(client),
    roles: await readRoles(client),
    tablespaces: await readTablespaces(client),
    needs: await readServerNeeds(client),
    largeObjects: await readLargeObjects(job),
    migrationTables: await readTablesNamed(client, MIGRATION_TABLES),
    taskTables: await readTablesNamed(client, TASK_TABLES),
    notCarried: await readNotCarried(client),
    systemPrivileges: await readSystemPrivileges(client),
    sequences: await readSequences(client),
  };
}

async function readDatabaseHead(client: pg.Client): Promise<Inventory['database']> {
  const row = await describeDatabaseRow(client);
  return {
    name: row.name,
    owner: row.owner,
    encoding: row.encoding,
    collate: row.collate,
    ctype: row.ctype,
    ...(row.locale_provider === null ? {} : { localeProvider: row.locale_provider }),
    ...(row.locale === null ? {} : { locale: row.locale }),
    ...(row.icu_rules === null ? {} : { icuRules: row.icu_rules }),
    tablespace: row.tablespace,
    ...(row.is_template && { template: true }),
    privileges: digest(row.grants.map((grant) => JSON.stringify(grant)).join()),
    ...(row.comment === null ? {} : { comment: row.comment }),
    settings: await readDatabaseSettings(client),
  };
}

async function readExtensions(client: pg.Client): Promise<Inventory['extensions']> {
  const { rows } = await client.query<Inventory['extensions'][number]>(`
    select e.extname as name, e.extversion as version, n.nspname as schema
      from pg_extension e join pg_namespace n on n.oid = e.extnamespace order by 1`);
  return rows;
}

/**
 * Roles that the server's own dependency record names for this database (owners, grantees, policies) or that have
 * settings in it, and what they are members of. Members of them stay out: the database restores without. Not named, as far
 * as a restore goes, are owners of what it does not give back to them: extensions and what belongs to them, temporary
 * tables, what somebody made in a system schema.
 */
async function readRoles(client: pg.Client): Promise<Inventory['roles']> {
  const { rows } = await client.query<Inventory['roles'][number]>(`
    with recursive this as (select oid, datdba, datacl from pg_database where datname = current_database()),
    recorded as (
      select d.refobjid as oid, d.deptype = 'i' or (d.deptype = 'o' and (
               d.classid = 'pg_extension'::regclass or coalesce(i.schema, '') ~ '^pg_|^information_schema$' or exists (
                 select from pg_depend e where e.classid = d.classid and e.objid = d.objid and e.deptype = 'e'))) as left_behind
        from pg_shdepend d, this, pg_identify_object(d.classid, d.objid, 0) i
       where d.refclassid = 'pg_authid'::regclass and d.dbid = this.oid),
    named(oid) as (
      select datdba from this
      union select x.grantee from this, aclexplode(datacl) x where x.grantee <> 0
      union select oid from recorded where not left_behind
      union select s.setrole from pg_db_role_setting s, this where s.setdatabase = this.oid and s.setrole <> 0),
    needed(oid) as (
      select oid from named union select oid from recorded
      union select m.roleid from needed join pg_auth_members m on m.member = needed.oid)
    select r.rolname as name, r.rolsuper as superuser, r.rolcreaterole as "createRole", r.rolcreatedb as "createDatabase",
           r.rolinherit as inherit, r.rolcanlogin as login, r.rolreplication as replication,
           r.rolbypassrls as "bypassRowSecurity",
           array(select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid
                  where m.member = r.oid order by 1) as "memberOf", r.oid in (select oid from named) as named
      from pg_roles r join needed on needed.oid = r.oid order by r.rolname`);
  return rows;
}

async function readTablespaces(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(`
    select spcname as name from pg_tablespace
     where oid in (select reltablespace from pg_class)
        or oid = (select dattablespace from pg_database where datname = current_database()) order by 1`);
  return rows.map((row) => row.name).filter((name) => !name.startsWith('pg_global'));
}

/** Whoever may read the objects may take this: their own catalog needs more. Holes read as zeros, as in a dump. */
const LARGE_OBJECT_CONTENTS = `
  select coalesce(sum(hashtextextended(concat_ws(':', sized.oid, piece, lo_get(sized.oid, piece * 65536, 65536)), 0)), 0)::text
    from (select oid, (select lo_lseek64(fd, 0, 2) + lo_close(fd) from (select lo_open(m.oid, 262144) as fd offset 0) o) as bytes
            from pg_largeobject_metadata m offset 0) sized,
         generate_series(0, greatest(sized.bytes - 1, 0) / 65536) piece`;

async function readLargeObjects(job: InventoryJob): Promise<Inventory['largeObjects']> {
  const { rows } = await job.client.query<Inventory['largeObjects']>(`
    select count(*)::text as count, coalesce(sum(hashtextextended(concat_ws(':', oid, pg_get_userbyid(lomowner),
             (select string_agg(concat_ws(' ', x.grantee::regrole, x.privilege_type, x.is_grantable), ';' order by x.grantee::regrole::text, x.privilege_type)
                from aclexplode(coalesce(lomacl, acldefault('L', lomowner))) x), d.description), 0)), 0)::text as privileges
      from pg_largeobject_metadata left join pg_description d on d.objoid = oid and d.classoid = 'pg_largeobject'::regclass`);
  const counted = rows[0] ?? { count: '0', privileges: '0' };
  if (job.detail !== 'fingerprints') return counted;
  const contents = await job.client.query<{ coalesce: string }>(LARGE_OBJECT_CONTENTS);
  return { ...counted, fingerprint: contents.rows[0]?.coalesce ?? '0' };
}

/** By which the frameworks in use today record what of their migrations has run. */
const MIGRATION_TABLES = [
  '__EFMigrationsHistory',
  '__drizzle_migrations',
  '_prisma_migrations',
  'alembic_version',
  'ar_internal_metadata',
  'databasechangelog',
  'django_migrations',
  'ecto_migrations',
  'flyway_schema_history',
  'goose_db_version',
  'graphile_migrate',
  'knex_migrations',
  'mikro_orm_migrations',
  'migrations',
  'pgmigrations',
  'schema_migrations',
  'SequelizeMeta',
  'typeorm_migrations',
];

/** In which the schedulers and queues in use today keep what is to be done; with the schema where the name says little. */
const TASK_TABLES = [
  'delayed_jobs',
  'django_apscheduler_djangojob',
  'django_celery_beat_clockedschedule',
  'django_celery_beat_crontabschedule',
  'django_celery_beat_intervalschedule',
  'django_celery_beat_periodictask',
  'django_celery_beat_periodictasks',
  'django_celery_beat_solarschedule',
  'django_q_ormq',
  'django_q_schedule',
  'good_jobs',
  'cron.job',
  'graphile_worker._private_jobs',
  'pgboss.job',
  'oban_jobs',
  'procrastinate_jobs',
  'procrastinate_periodic_defers',
  'que_jobs',
  'que_scheduler_audit',
  'river_job',
  'solid_queue_recurring_tasks',
  'solid_queue_scheduled_executions',
];

async function readTablesNamed(client: pg.Client, wanted: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and (c.relname = any ($1) or concat_ws('.', n.nspname, c.relname) = any ($1)) and ${DUMPED_RELATION} order by 1`,
    [wanted],
  );
  return rows.map((row) => row.name);
}

interface SequenceRow {
  readonly schema: string;
  readonly name: string;
  readonly owned: string | null;
}

const SEQUENCES_PER_QUERY = 200;

/** Without unlogged ones on a standby: their values cannot be read there, and a dump has none. */
async function readSequences(client: pg.Client): Promise<Inventory['sequences']> {
  const { rows } = await client.query<SequenceRow>(`
    select n.nspname as schema, c.relname as name,
           (select format('%I.%I.%I', tn.nspname, t.relname, a.attname) from pg_depend d
              join pg_class t on t.oid = d.refobjid join pg_namespace tn on tn.oid = t.relnamespace
              join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
             where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass
               and d.deptype in ('a', 'i')) as owned
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'S' and ${DUMPED_RELATION} and not (c.relpersistence = 'u' and pg_is_in_recovery()) order by n.nspname collate "C", c.relname collate "C"`);
  const sequences: Inventory['sequences'] = [];
  for (let start = 0; start < rows.length; start += SEQUENCES_PER_QUERY)
    sequences.push(...(await readSequenceValues(client, rows.slice(start, start + SEQUENCES_PER_QUERY))));
  return sequences;
}

/** From the sequences themselves, as pg_dump does: what the catalogs tell knows no setval(..., false). */
async function readSequenceValues(client: pg.Client, batch: readonly SequenceRow[]): Promise<Inventory['sequences']> {
  const each = batch.map(
    ({ schema, name }, index) =>
      `select ${index} as index, last_value::text as last, is_called as called from ${qualifiedName(schema, name)}`,
  );
  const { rows } = await client.query<{ index: number; last: string; called: boolean }>(each.join(' union all '));
  return rows
    .toSorted((a, b) => a.index - b.index)
    .flatMap(({ index, last, called }) => {
      const sequence = batch[index];
      if (!sequence) return [];
      const { schema, name, owned } = sequence;
      return [{ schema, name, lastValue: last, isCalled: called, ...(owned === null ? {} : { ownedBy: owned }) }];
    });
}
