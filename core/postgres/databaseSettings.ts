import type pg from 'pg';
import { quoteIdentifier, quoteLiteral } from './identifiers.ts';

export interface DatabaseRow {
  readonly name: string;
  readonly owner: string;
  readonly encoding: string;
  readonly collate: string;
  readonly ctype: string;
  /** Null on servers before 15, which have libc's locales only. */
  readonly locale_provider: 'libc' | 'icu' | 'builtin' | null;
  /** Of the providers icu and builtin. */
  readonly locale: string | null;
  readonly icu_rules: string | null;
  readonly tablespace: string;
  readonly connection_limit: number;
  readonly is_template: boolean;
  readonly comment: string | null;
  readonly has_acl: boolean;
  readonly grants: readonly Grant[];
}

interface Grant {
  readonly grantee: string | null;
  readonly privilege: string;
  readonly grantable: boolean;
}

export interface DatabaseSetting {
  /** Null: for every role. */
  readonly role: string | null;
  readonly name: string;
  readonly value: string;
}

/** psql's way to write the target's name, so that the same text serves a database of another name. */
const TARGET = ':"holdfast_database"';

/** Settings whose value is a list of quoted names; as one string it would be one strange name (pg_dump's own list). */
const LIST_SETTINGS = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
]);

/**
 * The database's owner, comment, connection limit, privileges and settings as SQL for psql, and how it was created as a
 * comment. `psql -v holdfast_database=other` applies them to a database of another name.
 */
export async function databaseSettingsSql(client: pg.Client): Promise<string> {
  const database = await describeDatabaseRow(client);
  const statements = [
    `ALTER DATABASE ${TARGET} OWNER TO ${quoteIdentifier(database.owner)};`,
    `ALTER DATABASE ${TARGET} CONNECTION LIMIT ${database.connection_limit};`,
    ...(database.comment === null ? [] : [`COMMENT ON DATABASE ${TARGET} IS ${quoteLiteral(database.comment)};`]),
    ...(database.has_acl ? grantStatements(database) : []),
    ...(await readDatabaseSettings(client)).map(settingStatement),
    ...(database.is_template ? [`ALTER DATABASE ${TARGET} IS_TEMPLATE true;`] : []),
  ];
  return [
    '',
    '--',
    '-- Settings of the database itself. They are applied to the database it was, or to the one that',
    '-- psql -v holdfast_database=NAME says. It must exist; it was created like this:',
    '--',
    ...`${createDatabaseSql(database.name, database)};`.split('\n').map((line) => `-- ${line}`),
    '--',
    '',
    '\\if :{?holdfast_database}',
    '\\else',
    `\\set holdfast_database ${quotePsqlArgument(database.name)}`,
    '\\endif',
    '',
    ...statements,
    '',
  ].join('\n');
}

/** Settings of this database, for every role or for one in it (ALTER DATABASE ... SET, ALTER ROLE ... IN DATABASE). */
export async function readDatabaseSettings(client: pg.Client): Promise<DatabaseSetting[]> {
  const { rows } = await client.query<DatabaseSetting>(`
    select r.rolname as role, split_part(item, '=', 1) as name, substr(item, strpos(item, '=') + 1) as value
      from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole, unnest(s.setconfig) as item
     where s.setdatabase = (select oid from pg_database where datname = current_database())
     order by 1 nulls first, 2`);
  return rows;
}

/**
 * In to_jsonb, because the columns of pg_database differ: providers exist from 15 on, ICU rules from 16, and 17 has
 * another name for the locale.
 */
const LOCALE = `
  case to_jsonb(d) ->> 'datlocprovider' when 'c' then 'libc' when 'i' then 'icu' when 'b' then 'builtin' end as locale_provider,
  coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') as locale, to_jsonb(d) ->> 'daticurules' as icu_rules`;

/** The database one is connected to. Its privileges are the effective ones, given or by default. */
export async function describeDatabaseRow(client: pg.Client): Promise<DatabaseRow> {
  const { rows } = await client.query<Omit<DatabaseRow, 'grants'>>(`
    select d.datname as name, pg_get_userbyid(d.datdba) as owner, pg_encoding_to_char(d.encoding) as encoding,
           d.datcollate as collate, d.datctype as ctype, ${LOCALE}, t.spcname as tablespace, d.datconnlimit as connection_limit,
           d.datistemplate as is_template, shobj_description(d.oid, 'pg_database') as comment, d.datacl is not null as has_acl
      from pg_database d join pg_tablespace t on t.oid = d.dattablespace
     where d.datname = current_database()`);
  if (!rows[0]) throw new TypeError('a session is in a database');
  return { ...rows[0], grants: await readGrants(client) };
}

async function readGrants(client: pg.Client): Promise<Grant[]> {
  const { rows } = await client.query<Grant>(`
    select case when a.grantee = 0 then null else pg_get_userbyid(a.grantee) end as grantee,
           a.privilege_type as privilege, bool_or(a.is_grantable) as grantable
      from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
     where d.datname = current_database() group by 1, 2 order by 1 nulls first, 2`);
  return rows;
}

/** Both have privileges by default, and either can have lost them. */
function grantStatements({ owner, grants }: Pick<DatabaseRow, 'owner' | 'grants'>): string[] {
  return [
    `REVOKE ALL ON DATABASE ${TARGET} FROM PUBLIC;`,
    `REVOKE ALL ON DATABASE ${TARGET} FROM ${quoteIdentifier(owner)};`,
    ...grants.map(
      ({ grantee, privilege, grantable }) =>
        `GRANT ${privilege} ON DATABASE ${TARGET} TO ${grantee === null ? 'PUBLIC' : quoteIdentifier(grantee)}${grantable ? ' WITH GRANT OPTION' : ''};`,
    ),
  ];
}

function settingStatement(setting: DatabaseSetting): string {
  const { role } = setting;
  const subject =
    role === null ? `ALTER DATABASE ${TARGET}` : `ALTER ROLE ${quoteIdentifier(role)} IN DATABASE ${TARGET}`;
  return `${subject} ${settingAssignment(setting)};`;
}

/** `SET "work_mem" TO '4MB'`, for the end of an ALTER DATABASE or ALTER ROLE. */
export function settingAssignment({ name, value }: Pick<DatabaseSetting, 'name' | 'value'>): string {
  const written = isNameList(name) ? splitNameList(value).map(quoteLiteral).join(', ') || "''" : quoteLiteral(value);
  // An extension's setting has two names with a dot between.
  return `SET ${name.split('.').map(quoteIdentifier).join('.')} TO ${written}`;
}

/** Whether a setting's value is a list of names. */
export function isNameList(setting: string): boolean {
  return LIST_SETTINGS.has(setting.toLowerCase());
}

/** `"$user", public` -> [`$user`, `public`]. */
export function splitNameList(value: string): string[] {
  return [...value.matchAll(/"((?:[^"]|"")*)"|([^\s,"]+)/g)].map(
    ([, quoted, bare]) => bare ?? (quoted ?? '').replaceAll('""', '"'),
  );
}

/** What a database is created with and keeps for ever. */
export type DatabaseForm = Pick<
  DatabaseRow,
  'encoding' | 'collate' | 'ctype' | 'locale_provider' | 'locale' | 'icu_rules' | 'tablespace'
>;

/** CREATE DATABASE from template0, without a semicolon. Providers of locales are left out where the form names none. */
export function createDatabaseSql(name: string, form: DatabaseForm): string {
  return [
    `CREATE DATABASE ${quoteIdentifier(name)} WITH TEMPLATE template0 ENCODING ${quoteLiteral(form.encoding)}`,
    `  LC_COLLATE ${quoteLiteral(form.collate)} LC_CTYPE ${quoteLiteral(form.ctype)}`,
    ...localeOptions(form).map((option) => `  ${option}`),
    // To name even the default one takes a privilege on it.
    ...(form.tablespace === 'pg_default' ? [] : [`  TABLESPACE ${quoteIdentifier(form.tablespace)}`]),
  ].join('\n');
}

function localeOptions({ locale_provider: provider, locale, icu_rules: rules }: DatabaseForm): string[] {
  if (provider === null) return [];
  return [
    `LOCALE_PROVIDER ${provider}`,
    ...(locale === null ? [] : [`${provider === 'icu' ? 'ICU_LOCALE' : 'BUILTIN_LOCALE'} ${quoteLiteral(locale)}`]),
    ...(rules === null ? [] : [`ICU_RULES ${quoteLiteral(rules)}`]),
  ];
}

/** An argument of a psql meta-command. */
function quotePsqlArgument(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}
