import type pg from 'pg';
import { messageOf, HoldfastError } from '../../errors.ts';
import { connect, endSession, type DatabaseAccess } from '../../postgres/access.ts';
import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts';
import { splitGlobals, statementFor, type GlobalsStatement } from './globalsStatements.ts';
import type { RestoreScope } from '../run.ts';
import { commentOn, requireOwn, type NewDatabase } from './targetDatabase.ts';
import { markedComment, type FoundDatabase } from './targetMark.ts';

export interface DatabaseProperties {
  /**
   * ALTER DATABASE ... SET and ALTER ROLE ... IN DATABASE ... SET: checks and defaults may read them, extensions need their
   * libraries. And the owner: only as such may a role own what is in the schema public.
   */
  readonly parameters: readonly string[];
  /** Privileges, connection limit, comment, and the settings under which nothing could be restored as it was. */
  readonly others: readonly string[];
  readonly warnings: readonly string[];
}

/** What the part `globals` says of the database itself, for one of another name. */
export function databaseProperties(globals: string, target: string, scope: RestoreScope): DatabaseProperties {
  const name = quoteIdentifier(target);
  const all = splitGlobals(globals).filter(({ nameAt }) => nameAt !== undefined);
  const wanted = all.filter(({ text }) => !isLeftOut(text, scope));
  const owner = all.map(({ text }) => OWNER.exec(text)?.[1]).find((each) => each !== undefined);
  const sql = (statements: readonly GlobalsStatement[]) =>
    statements.flatMap((each) => revokingFromBoth(each, owner)).map((each) => statementFor(each, name));
  const roleSettings = all.filter(
    ({ text }) => !wanted.some((each) => each.text === text) && text.startsWith('ALTER ROLE'),
  );
  return {
    parameters: sql(wanted.filter(({ text }) => isParameter(text))),
    others: sql(wanted.filter(({ text }) => !isParameter(text))),
    warnings:
      roleSettings.length === 0
        ? []
        : [`${roleSettings.length} settings of single roles in the database are left out, with its owners`],
  };
}

/** Before anything is restored. Throws RestoreFailed with the statement. */
export async function applyParameters(server: DatabaseAccess, properties: DatabaseProperties, signal?: AbortSignal) {
  await inOneTransaction(server, properties.parameters, signal);
}

/**
 * After everything is restored, and with it the mark of an unfinished restore goes: the database is whole from this
 * commit on. It waits for the disk, and so for everything before it. With `keepMark` the mark stays, before the
 * database's own comment, until `releaseTarget`.
 */
export async function applyProperties(
  database: NewDatabase,
  properties: DatabaseProperties,
  {
    keepMark = false,
    signal,
  }: { readonly keepMark?: boolean | undefined; readonly signal?: AbortSignal | undefined } = {},
) {
  const { server, target } = database;
  const comment = `COMMENT ON DATABASE ${quoteIdentifier(target)} IS`;
  let own: FoundDatabase | undefined;
  await inOneTransaction(server, [`${comment} NULL`, ...properties.others], signal, {
    first: async (client) => {
      own = await requireOwn(client, database);
    },
    last: async (client) => {
      if (!keepMark || own === undefined) return;
      const marked = markedComment(database, own, await commentOn(client, target));
      await client.query(`${comment} ${quoteLiteral(marked)}`);
    },
  });
}

async function inOneTransaction(
  server: DatabaseAccess,
  statements: readonly string[],
  signal?: AbortSignal,
  { first, last }: Readonly<Partial<Record<'first' | 'last', (client: pg.Client) => Promise<void>>>> = {},
) {
  const client = await connect(server, signal);
  try {
    await client.query('begin');
    await first?.(client);
    for (const statement of statements) {
      await client.query(statement).catch((cause: unknown) => {
        throw new HoldfastError('RestoreFailed', `${firstWords(statement)}: ${messageOf(cause)}`, {
          advice: adviceFor(statement, messageOf(cause)),
          cause,
        });
      });
    }
    await last?.(client);
    await client.query('commit');
  } finally {
    await endSession(client);
  }
}

function adviceFor(statement: string, message: string): string {
  const parameter = /permission denied to set parameter (".*")/.exec(message)?.[1];
  if (parameter !== undefined)
    return `From PostgreSQL 15 on a superuser can let the role that restores do it: GRANT SET ON PARAMETER ${parameter.replaceAll('.', '"."')} TO ...; else restore as one.`;
  if (statement.startsWith('ALTER ROLE ') && /permission denied|must be/.test(message))
    return 'ALTER ROLE ... CREATEROLE for the role that restores, from PostgreSQL 16 on with the admin option of that role; or restore as a superuser, or leave owners out.';
  return 'Create what is missing on the target server, or leave owners and privileges out.';
}

/**
 * Settings that make a session somebody else, keep it from writing or waiting, or have it read, store or report what it is
 * given in another way. pg_restore's sessions would run under them.
 */
const HINDERING = new Set([
  'array_nulls',
  'check_function_bodies',
  'client_encoding',
  'client_min_messages',
  'default_table_access_method',
  'default_tablespace',
  'default_transaction_deferrable',
  'default_transaction_isolation',
  'default_transaction_read_only',
  'event_triggers',
  'exit_on_error',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'lc_messages',
  'lock_timeout',
  'restrict_nonsystem_relation_kind',
  'role',
  'row_security',
  'search_path',
  'session_authorization',
  'session_replication_role',
  'standard_conforming_strings',
  'statement_timeout',
  'temp_file_limit',
  'transaction_timeout',
  'transform_null_equals',
]);

function isParameter(text: string): boolean {
  if (/^ALTER DATABASE\s+OWNER TO /.test(text)) return true;
  const name = SETTING.exec(text)?.[1];
  return name !== undefined && !HINDERING.has(name.toLowerCase());
}

const OWNER = /^ALTER DATABASE\s+OWNER TO (.*)$/s;

/** Backups of earlier releases say of the owner what he may, and not that he may no more than that. */
function revokingFromBoth(statement: GlobalsStatement, owner: string | undefined): GlobalsStatement[] {
  const fromPublic = /^(REVOKE ALL ON DATABASE\s+FROM )PUBLIC$/.exec(statement.text)?.[1];
  if (fromPublic === undefined || owner === undefined) return [statement];
  return [statement, { ...statement, text: `${fromPublic}${owner}` }];
}

/** As `databaseSettingsSql` writes them; one of an extension has a second name, which is not looked at. */
const SETTING = /^ALTER (?:DATABASE\s+|ROLE "(?:[^"]|"")*" IN DATABASE\s+)SET "((?:[^"]|"")+)"/;

function isLeftOut(text: string, { noOwner = false, noPrivileges = false }: RestoreScope): boolean {
  if (/^ALTER (DATABASE\s+OWNER TO|ROLE) /.test(text)) return noOwner;
  return /^(GRANT|REVOKE) /.test(text) && (noPrivileges || noOwner);
}

/** A setting's value may be a secret of the application's. */
function firstWords(statement: string): string {
  return statement.replace(/ (TO|IS) [E'].*$/s, '');
}
