import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { ConnectionOptions } from 'node:tls';
import { Client } from 'pg';
import { codeOf, HoldfastError, messageOf } from '../errors.ts';
import type { DatabaseConfiguration } from '../config/sourceSchema.ts';
import { quoteIdentifier } from './identifiers.ts';
import { rootCertificates } from './rootCertificates.ts';

/** A source's database as configured, with the password's value in place of its reference. Never logged or stored. */
export type DatabaseAccess = Omit<DatabaseConfiguration, 'password' | 'sslrootcert'> & {
  readonly password?: string | undefined;
  readonly sslrootcert?: string | undefined;
  /** Where the password comes from, or why there is none, and what to do: for hints. Unset: from the configuration. */
  readonly passwordAdvice?: string | undefined;
  /** True where the role restores: its sessions are its own and may write. And `holdfast doctor` looks at what the reading one lacks. */
  readonly restores?: true | undefined;
};

export const APPLICATION_NAME = 'holdfast';

const CONNECT_TIMEOUT = 15_000;
const KEEPALIVE_DELAY = 10_000;

/**
 * What every session of ours runs under. Text of values must not depend on the role's or server's settings, because
 * fingerprints are made of it; names come out qualified; a table that row-level security would filter is an error.
 * Settings that a server's version does not know are left out.
 */
const SESSION_SETTINGS: Readonly<Record<string, string>> = {
  statement_timeout: '0',
  transaction_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  tcp_keepalives_idle: '30',
  tcp_keepalives_interval: '10',
  row_security: 'off',
  search_path: 'pg_catalog',
  client_encoding: 'UTF8',
  datestyle: 'ISO, YMD',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  extra_float_digits: '1',
  bytea_output: 'hex',
  xmlbinary: 'base64',
  lc_monetary: 'C',
  quote_all_identifiers: 'off',
  standard_conforming_strings: 'on',
  synchronize_seqscans: 'off',
  jit: 'off',
  // A scan beside the dump must not take the cores the dump runs on.
  max_parallel_workers_per_gather: '0',
};

/** Of a role that restores besides: what it or the database has set holds for whoever works with what was restored. */
const RESTORING_SETTINGS: Readonly<Record<string, string>> = { default_transaction_read_only: 'off' };

/**
 * `ALTER DATABASE ... SET role` puts another role in the place of the one that restores, who may do none of it. What that one
 * has set for itself on all databases is its own affair.
 */
const OWN_ROLE = `
  select set_config('role', 'none', false)
   where not exists (
     select from pg_db_role_setting s join pg_roles r on r.oid = s.setrole, unnest(s.setconfig) setting
      where s.setdatabase = 0 and r.rolname = session_user and setting like 'role=%')`;

/**
 * Opens a session on the database. Rejects with `SourceUnreachable` where trying again can help, with `SourceRefused`
 * where the server said no (password, role, database), with `InvalidConfiguration` for an unreadable certificate.
 */
export async function connect(access: DatabaseAccess, signal?: AbortSignal): Promise<Client> {
  signal?.throwIfAborted();
  const tls = await tlsOptions(access);
  try {
    return await connectOnce(access, tls, signal);
  } catch (error) {
    // libpq's rule for `prefer`: the other way round when the server speaks no TLS.
    const plainWillDo = access.sslmode === 'prefer' && tls !== false && /does not support SSL/.test(messageOf(error));
    if (!plainWillDo) throw connectionError(access, error);
    return await connectOnce(access, false, signal).catch((cause: unknown) => {
      throw connectionError(access, cause);
    });
  }
}

async function connectOnce(
  access: DatabaseAccess,
  ssl: ConnectionOptions | false,
  signal: AbortSignal | undefined,
): Promise<Client> {
  const client = new Client({
    host: access.host,
    port: access.port,
    database: access.name,
    user: access.user,
    // A function keeps the driver from looking into PGPASSWORD and ~/.pgpass.
    password: () => access.password ?? '',
    ssl,
    application_name: APPLICATION_NAME,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_DELAY,
    connectionTimeoutMillis: CONNECT_TIMEOUT,
  });
  // A session that breaks while idle says so here; its next query rejects, which is where it is handled.
  client.on('error', () => undefined);
  try {
    // The driver never settles a connect() that end() has cut short.
    await Promise.race([client.connect().then(() => applySettings(client, access)), rejectWhenAborted(signal)]);
    return client;
  } catch (error) {
    await endSession(client);
    signal?.throwIfAborted();
    throw error;
  }
}

function rejectWhenAborted(signal: AbortSignal | undefined): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  promise.catch(() => undefined);
  return promise;
}

const END_TIMEOUT = 2_000;

/** Ends a session, politely where the server still listens. */
export async function endSession(client: Client): Promise<void> {
  const patience = new AbortController();
  const timeout = delay(END_TIMEOUT, undefined, { signal: patience.signal }).catch(() => undefined);
  await Promise.race([client.end().catch(() => undefined), timeout]);
  patience.abort();
}

/** How often a statement_timeout of a millisecond may be faster than the statement that lifts it. */
const TIMEOUT_ATTEMPTS = 20;

/** First, because it holds for the statement that sets the others. As a startup parameter no pooler would let it through. */
async function liftTimeout(client: Client): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query('set statement_timeout = 0');
      return;
    } catch (error) {
      if (codeOf(error) !== '57014' || attempt === TIMEOUT_ATTEMPTS) throw error;
    }
  }
}

/** A database in SQL_ASCII can hold any bytes, and its server refuses to hand out as UTF8 what is none. */
async function applySettings(client: Client, { restores }: DatabaseAccess): Promise<void> {
  await liftTimeout(client);
  // Before anything is called by name: the database may have functions of its own first in the path.
  await client.query('set search_path = pg_catalog');
  const settings = restores ? { ...SESSION_SETTINGS, ...RESTORING_SETTINGS } : SESSION_SETTINGS;
  const names = Object.keys(settings);
  await client.query(
    `select set_config(name, case when name = 'client_encoding' and getdatabaseencoding() = 'SQL_ASCII' then 'SQL_ASCII' else value end, false)
       from unnest($1::text[], $2::text[]) as wanted(setting_name, value)
       join pg_catalog.pg_settings on pg_catalog.lower(name) = setting_name`,
    [names, Object.values(settings)],
  );
  if (restores) await client.query(OWN_ROLE);
}

async function tlsOptions(access: DatabaseAccess): Promise<ConnectionOptions | false> {
  if (access.sslmode === 'disable' || access.host.startsWith('/')) return false;
  if (access.sslmode === 'prefer' || access.sslmode === 'require') return { rejectUnauthorized: false };
  const path = await rootCertificates(access);
  const ca = path === undefined ? undefined : await readCertificate(path);
  return {
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
    // verify-ca trusts the chain and not the name.
    ...(access.sslmode === 'verify-ca' ? { checkServerIdentity: () => undefined } : {}),
  };
}

async function readCertificate(path: string): Promise<Buffer> {
  return readFile(path).catch((cause: unknown) => {
    throw new HoldfastError('InvalidConfiguration', `sslrootcert ${path} cannot be read: ${messageOf(cause)}`, {
      advice: 'Give the path of the PEM certificate of the authority that signed the server certificate.',
      cause,
    });
  });
}

/** For messages: which database, without the password. */
export function describeDatabase(access: DatabaseAccess): string {
  return `database ${access.name} on ${access.host}:${access.port}`;
}

const NO_ROOM =
  'Everybody who may connect has: end sessions that are idle, or raise the CONNECTION LIMIT of database or role, or max_connections.';

function connectionError(access: DatabaseAccess, cause: unknown): unknown {
  if (cause instanceof HoldfastError || (cause instanceof Error && cause.name === 'AbortError')) return cause;
  const code = codeOf(cause) ?? '';
  const what = `${describeDatabase(access)}, role ${access.user}`;
  const refusal = refusalAdvice(code, messageOf(cause), access);
  const said = NO_PASSWORD.test(messageOf(cause)) ? 'the server wants a password, none was given' : messageOf(cause);
  if (refusal) return new HoldfastError('SourceRefused', `${what}: ${said}`, { advice: refusal, cause });
  if (/^[0-9A-Z]{5}$/.test(code) && !/^(08|53|57P|ECONN|EPIPE)/.test(code))
    return queryError(access, 'opening a session', cause);
  return new HoldfastError('SourceUnreachable', `${what} cannot be reached: ${reasonOf(cause)}`, {
    advice:
      code === '53300'
        ? NO_ROOM
        : 'Check that the server runs and that host, port and firewall let this machine through.',
    cause,
  });
}

/** The driver's own words. */
const NO_PASSWORD = /password must be a non-empty string|password must be a string/;
const PASSWORD_ADVICE =
  'Check the password that the configuration refers to; none is taken from PGPASSWORD or ~/.pgpass.';

function refusalAdvice(code: string, message: string, access: DatabaseAccess): string | undefined {
  if (code === '28P01' || NO_PASSWORD.test(message)) return access.passwordAdvice ?? PASSWORD_ADVICE;
  if (code === '28000')
    return `Let role ${access.user} in: it must exist, have LOGIN, and match a line of pg_hba.conf.`;
  if (code === '3D000') return 'Check the name of the database.';
  if (code === '42501')
    return `GRANT CONNECT ON DATABASE ${quoteIdentifier(access.name)} TO ${quoteIdentifier(access.user)};`;
  if (/does not support SSL/.test(message)) return 'Enable ssl on the server, or set sslmode to prefer or disable.';
  if (/certificate|altnames/i.test(message)) return 'Check sslrootcert, and that the certificate names this host.';
  return undefined;
}

/** Several addresses of one host fail as one error without a message of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return messageOf(error);
}

/** Turns an error of a query into a HoldfastError; `doing` says what was being done, e.g. `reading the catalogs`. */
export function queryError(access: DatabaseAccess, doing: string, cause: unknown): HoldfastError {
  if (cause instanceof HoldfastError) return cause;
  const code = codeOf(cause) ?? '';
  const message = `${describeDatabase(access)}, ${doing}: ${messageOf(cause)}`;
  if (code === '42501')
    return new HoldfastError('SourceRefused', message, {
      advice: access.restores
        ? `Give role ${access.user} on that server the right that is named, or let a superuser restore. A plan (--dry-run) looks for the rights that are known before.`
        : `Grant role ${access.user} what is denied there. \`holdfast doctor\` names what the roles lack that the configuration names.`,
      cause,
    });
  if (connectionLost(cause))
    return new HoldfastError('SourceUnreachable', message, { advice: 'Look into the log of the server.', cause });
  return new HoldfastError('DumpFailed', message, { advice: 'Look into the log of the server.', cause });
}

/** Whether a query failed because its session is gone. */
export function connectionLost(error: unknown): boolean {
  const code = codeOf(error) ?? '';
  return /^(08|57P|ECONN|EPIPE|ETIMEDOUT)/.test(code) || /Connection terminated|not queryable/.test(messageOf(error));
}
