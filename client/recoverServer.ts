import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import pgpass from 'pgpass';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../core/errors.ts';
import type { DatabaseAccess } from '../core/postgres/access.ts';
import type { ServerOptions } from './serverOptions.ts';

/**
 * The server that the options and libpq's variables name, on a database of it that is there already. Throws InvalidInput;
 * a password in the address is refused, since arguments can be read by everybody on this machine.
 */
export async function recoverServer(options: ServerOptions, environment: NodeJS.ProcessEnv): Promise<DatabaseAccess> {
  const url = options.databaseUrl === undefined ? undefined : parseUrl(options.databaseUrl);
  const parameter = (name: string) => url?.searchParams.get(name) ?? undefined;
  const parsed = serverSchema.safeParse({
    host: parameter('host') ?? given(decodedHost(url)) ?? given(environment.PGHOST) ?? 'localhost',
    port: parameter('port') ?? given(url?.port) ?? given(environment.PGPORT) ?? 5432,
    user: given(decodeURIComponent(url?.username ?? '')) ?? given(environment.PGUSER) ?? userInfo().username,
    name: given(decodeURIComponent(url?.pathname.slice(1) ?? '')) ?? given(environment.PGDATABASE) ?? 'postgres',
    sslmode: parameter('sslmode') ?? given(environment.PGSSLMODE) ?? 'prefer',
    sslrootcert: parameter('sslrootcert') ?? given(environment.PGSSLROOTCERT),
  });
  if (!parsed.success) throw invalid(`The server cannot be used: ${z.prettifyError(parsed.error)}`);
  const server = { ...parsed.data, lockTimeout: LOCK_TIMEOUT, rolePasswords: false };
  const password = await passwordFor(server, options, environment);
  return { ...server, ...(password !== undefined && { password }) };
}

function given(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

/** Milliseconds. A restore takes no locks on what others use. */
const LOCK_TIMEOUT = 60_000;

const serverSchema = z.strictObject({
  host: z.string().min(1),
  port: z.coerce.number().int().min(1).max(65535),
  user: z.string().min(1),
  name: z.string().min(1),
  sslmode: z.enum(['disable', 'prefer', 'require', 'verify-ca', 'verify-full']),
  sslrootcert: z.string().optional(),
});

const PARAMETERS = ['host', 'port', 'sslmode', 'sslrootcert'];

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^postgres(ql)?:$/.test(url.protocol)) throw invalid('--database-url is no address');
  if (url.password !== '' || url.searchParams.has('password'))
    throw new HoldfastError('InvalidInput', '--database-url holds a password', {
      advice: 'Everybody on this machine can read arguments. Use --password-file, PGPASSWORD or PGPASSFILE.',
    });
  const unknown = [...url.searchParams.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined)
    throw invalid(`--database-url holds the parameter ${unknown}; known are ${PARAMETERS.join(', ')}`);
  return url;
}

/** An address of IPv6 stands in brackets. */
function decodedHost(url: URL | undefined): string | undefined {
  return url && decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1');
}

async function passwordFor(
  { host, port, user, name: database }: DatabaseAccess,
  { passwordFile }: ServerOptions,
  environment: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  if (passwordFile !== undefined) return (await readPasswordFile(passwordFile)).replace(/\r?\n$/, '');
  if (environment.PGPASSWORD) return environment.PGPASSWORD;
  return new Promise((found) => pgpass({ host, port, user, database }, found));
}

async function readPasswordFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new HoldfastError('InvalidInput', `The password file ${file} cannot be read: ${messageOf(cause)}`, {
      advice: 'Check its path and that this user may read it.',
      cause,
    });
  }
}

function invalid(message: string): HoldfastError {
  return new HoldfastError('InvalidInput', message, {
    advice: 'Write it like postgresql://postgres@db.example.com:5432/postgres?sslmode=verify-full.',
  });
}
