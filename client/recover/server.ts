import { readFile, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import path from 'node:path';
import pgpass from 'pgpass';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../../core/errors.ts';
import type { DatabaseAccess } from '../../core/postgres/access.ts';
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
  const server = { ...parsed.data, lockTimeout: LOCK_TIMEOUT, rolePasswords: false, restores: true } as const;
  return { ...server, ...(await passwordFor(server, options, environment)) };
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

type Password = Pick<DatabaseAccess, 'password' | 'passwordAdvice'>;

async function passwordFor(
  { host, port, user, name: database }: DatabaseAccess,
  { passwordFile }: ServerOptions,
  environment: NodeJS.ProcessEnv,
): Promise<Password> {
  if (passwordFile !== undefined) {
    const password = (await readPasswordFile(passwordFile)).replace(/\r?\n$/, '');
    return { password, passwordAdvice: `Check the password in ${passwordFile} (--password-file).` };
  }
  if (environment.PGPASSWORD)
    return { password: environment.PGPASSWORD, passwordAdvice: 'Check the password in PGPASSWORD.' };
  const file = given(environment.PGPASSFILE) ?? path.join(environment.HOME ?? '.', '.pgpass');
  const line = `${host}:${port}:${database}:${user}`;
  const password = await new Promise<string | undefined>((found) => pgpass({ host, port, user, database }, found));
  if (password !== undefined)
    return { password, passwordAdvice: `Check the password in the line of ${file} that fits ${line}.` };
  return { passwordAdvice: `Give it with --password-file, PGPASSWORD or PGPASSFILE: ${await whyNone(file, line)}.` };
}

/** libpq's rules: a password file that others can read is ignored. */
async function whyNone(file: string, line: string): Promise<string> {
  const found = await stat(file).catch((error: unknown) => messageOf(error));
  if (typeof found === 'string') return `${file} cannot be read (${found})`;
  if (!found.isFile()) return `${file} is no file`;
  const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
  if ((found.mode & 0o077) !== 0) return `${file} is ignored for its mode ${mode}, which has to be 0600`;
  return `${file} has no line for ${line}`;
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
