import type pg from 'pg';
import type { DatabaseAccess } from './access.ts';
import { cutList, quoteIdentifier } from './identifiers.ts';
import type { Finding } from './finding.ts';
import { DUMPED_RELATION } from './relations.ts';
import type { ServerFacts } from './server.ts';

/** What this role cannot read, each with what mends it. */
export async function readPrivilegeFindings(
  client: pg.Client,
  access: DatabaseAccess,
  server: ServerFacts,
): Promise<Finding[]> {
  const role = quoteIdentifier(await readCurrentRole(client));
  const findings = [
    await unreadableSchemas(client, role),
    await unreadableTables(client, role),
    await unreadableSequences(client, role),
    await unreadableLargeObjects(client, role),
    ...(await filteredTables(client, role)),
    access.rolePasswords ? await unreadablePasswords(client, access) : undefined,
    ...(await silentOmissions(client, server)),
  ];
  return findings.filter((finding) => finding !== undefined);
}

/** Not always the login: `ALTER ROLE ... SET role` puts another in its place, and then its privileges count. */
async function readCurrentRole(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ role: string }>('select current_user as role');
  return rows[0]?.role ?? '';
}

async function names(client: pg.Client, sql: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(sql);
  return rows.map((row) => row.name);
}

function refused(what: string, list: readonly string[], advice: string): Finding | undefined {
  if (list.length === 0) return undefined;
  const message = `${list.length} ${what}: ${cutList(list)}`;
  return { severity: 'failure', type: 'SourceRefused', message, advice };
}

const MOST_SCHEMAS_IN_ADVICE = 20;

/** A statement that runs as it stands: a list of schemas that is too long to show whole is not shown in part. */
function grantAdvice(privilege: string, schemas: readonly string[], role: string): string {
  const everything = `GRANT pg_read_all_data TO ${role};`;
  if (schemas.length > MOST_SCHEMAS_IN_ADVICE) return everything;
  return `GRANT ${privilege} ${schemas.join(', ')} TO ${role}; or, for everything there is and will be: ${everything}`;
}

function warning(message: string, advice: string): Finding {
  return { severity: 'warning', type: 'SourceRefused', message, advice };
}

async function unreadableSchemas(client: pg.Client, role: string): Promise<Finding | undefined> {
  const list = await names(
    client,
    `select quote_ident(n.nspname) as name from pg_namespace n
      where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not has_schema_privilege(n.oid, 'usage')
        and exists (select from pg_class c where c.relnamespace = n.oid and c.relkind in ('r', 'p', 'S') and ${DUMPED_RELATION})
      order by 1`,
  );
  return refused('schemas that this role may not use', list, grantAdvice('USAGE ON SCHEMA', list, role));
}

/** A lock, and so a dump, needs SELECT on the table as a whole; on columns is not enough. */
async function unreadableTables(client: pg.Client, role: string): Promise<Finding | undefined> {
  const { rows } = await client.query<{ schema: string; name: string }>(
    `select quote_ident(n.nspname) as schema, format('%I.%I', n.nspname, c.relname) as name
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and ${DUMPED_RELATION} and not has_table_privilege(c.oid, 'select') order by 2`,
  );
  const schemas = [...new Set(rows.map((row) => row.schema))];
  return refused(
    'tables that this role may not read',
    rows.map((row) => row.name),
    grantAdvice('SELECT ON ALL TABLES IN SCHEMA', schemas, role),
  );
}

/** The CASE keeps the server from asking about what is no sequence, which is an error. */
async function unreadableSequences(client: pg.Client, role: string): Promise<Finding | undefined> {
  const { rows } = await client.query<{ schema: string; name: string }>(
    `select quote_ident(n.nspname) as schema, format('%I.%I', n.nspname, c.relname) as name
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where ${DUMPED_RELATION} and case when c.relkind = 'S' then not has_sequence_privilege(c.oid, 'select') end order by 2`,
  );
  const schemas = [...new Set(rows.map((row) => row.schema))];
  return refused(
    'sequences that this role may not read',
    rows.map((row) => row.name),
    grantAdvice('SELECT ON ALL SEQUENCES IN SCHEMA', schemas, role),
  );
}

/** pg_read_all_data does not cover large objects, so each needs a grant, or their owner's role. */
async function unreadableLargeObjects(client: pg.Client, role: string): Promise<Finding | undefined> {
  const list = await names(
    client,
    `select m.oid::text as name from pg_largeobject_metadata m
      where not (select rolsuper from pg_roles where rolname = current_user)
        and not current_setting('lo_compat_privileges')::bool
        and not exists (select from aclexplode(coalesce(m.lomacl, acldefault('L', m.lomowner))) x
                         where x.privilege_type = 'SELECT' and (x.grantee = 0 or pg_has_role(x.grantee, 'usage')))
      order by m.oid`,
  );
  return refused(
    'large objects that this role may not read',
    list,
    `As their owner or a superuser: DO $$ DECLARE l oid; BEGIN FOR l IN SELECT oid FROM pg_largeobject_metadata LOOP EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO %I', l, ${quoteForFormat(role)}); END LOOP; END $$;`,
  );
}

function quoteForFormat(role: string): string {
  return `'${role.slice(1, -1).replaceAll('""', '"').replaceAll("'", "''")}'`;
}

/** Row-level security would hand this role a part of the rows: pg_dump then fails, and others leave rows out silently. */
async function filteredTables(client: pg.Client, role: string): Promise<Finding[]> {
  const { rows } = await client.query<{ name: string; owned: boolean }>(
    `select format('%I.%I', n.nspname, c.relname) as name, pg_has_role(c.relowner, 'usage') as owned
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and c.relrowsecurity and ${DUMPED_RELATION} and row_security_active(c.oid) order by 1`,
  );
  const bypass = `As a superuser: ALTER ROLE ${role} BYPASSRLS;`;
  const forced = rows.filter((row) => row.owned).map((row) => row.name);
  const others = rows.filter((row) => !row.owned).map((row) => row.name);
  return [
    refused('tables whose row-level security this role cannot bypass', others, bypass),
    refused(
      'tables whose row-level security is forced on their owner, this role',
      forced,
      `${bypass} Or, for each: ALTER TABLE ... NO FORCE ROW LEVEL SECURITY;`,
    ),
  ].filter((finding) => finding !== undefined);
}

async function unreadablePasswords(client: pg.Client, access: DatabaseAccess): Promise<Finding | undefined> {
  const { rows } = await client.query<{ readable: boolean }>(
    `select has_table_privilege('pg_catalog.pg_authid', 'select') as readable`,
  );
  if (rows[0]?.readable) return undefined;
  return {
    severity: 'failure',
    type: 'SourceRefused',
    message: `role ${access.user} may not read password hashes, which rolePasswords asks for`,
    advice: 'Set rolePasswords of the source to false, or let a superuser take the backup.',
  };
}

/** What pg_dump leaves out without failing. */
async function silentOmissions(client: pg.Client, server: ServerFacts): Promise<Finding[]> {
  const { rows } = await client.query<{
    subscriptions: number;
    mappings: string | null;
    foreign_tables: number;
    unlogged: number;
  }>(`
    select case when not (select rolsuper from pg_roles where rolname = current_user) then
             (select count(*)::int from pg_subscription s join pg_database d on d.oid = s.subdbid where d.datname = current_database())
           else 0 end as subscriptions,
           (select string_agg(distinct quote_ident(m.srvname), ', ') from pg_user_mappings m join pg_foreign_server s on s.oid = m.srvid
             where m.umoptions is null and m.usename <> current_user and not pg_has_role(s.srvowner, 'usage')) as mappings,
           (select count(*)::int from pg_foreign_table) as foreign_tables,
           (select count(*)::int from pg_class where relpersistence = 'u' and relkind = 'r') as unlogged`);
  const row = rows[0];
  if (!row) return [];
  const found: Finding[] = [];
  if (row.subscriptions > 0)
    found.push(
      warning(
        `${row.subscriptions} subscriptions are left out: only a superuser can dump them`,
        'Let a superuser take the backup.',
      ),
    );
  if (row.mappings !== null)
    found.push(
      warning(
        `options of user mappings of foreign servers cannot be read: ${row.mappings}`,
        'Let a superuser take the backup.',
      ),
    );
  if (row.foreign_tables > 0)
    found.push(
      warning(
        `rows of ${row.foreign_tables} foreign tables are not in the dump: they live on other servers`,
        'Back those servers up too.',
      ),
    );
  if (server.recovering && row.unlogged > 0)
    found.push(
      warning(
        `rows of ${row.unlogged} unlogged tables are left out: a standby does not have them`,
        'Back up from the primary.',
      ),
    );
  return found;
}
