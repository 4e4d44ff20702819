import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../errors.ts';
import { explained } from '../systemErrors.ts';
import { APPLICATION_NAME, type DatabaseAccess } from './access.ts';
import { rootCertificates } from './rootCertificates.ts';

export interface ClientEnvironment {
  /** For PostgreSQL's programs: where to connect, and where the password is. */
  readonly variables: Readonly<Record<string, string>>;
  /** Removes the password from the disk. Repeatable. */
  remove(): Promise<void>;
}

/**
 * The environment that PostgreSQL's client programs connect with. The password stands only in a file of mode 0600 in
 * a fresh directory of mode 0700 under `directory`: arguments and, for the same user, environments can be read by others.
 */
export async function createClientEnvironment(access: DatabaseAccess, directory: string): Promise<ClientEnvironment> {
  const entry = passwordEntry(access);
  const variables = connectionVariables(access, await rootCertificates(access));
  // An unset variable would let ~/.pgpass in; a file that is not there is no password.
  if (entry === undefined) {
    const none = join(directory, 'no-password');
    return { variables: { ...variables, PGPASSFILE: none }, remove: async () => undefined };
  }

  const privateDirectory = await mkdtemp(join(directory, 'pgpass-'));
  const remove = () => rm(privateDirectory, { recursive: true, force: true });
  const path = join(privateDirectory, 'pgpass');
  try {
    await writeFile(path, entry, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    await remove();
    throw explained(error, { where: path });
  }
  return { variables: { ...variables, PGPASSFILE: path }, remove };
}

/** The password file format of libpq: fields divided by colons, colon and backslash escaped, one entry a line. */
function passwordEntry(access: DatabaseAccess): string | undefined {
  if (access.password === undefined || access.password === '') return undefined;
  if (/[\r\n\0]/.test(access.password))
    throw new HoldfastError('InvalidConfiguration', `the password of role ${access.user} holds a line break`, {
      advice: 'PostgreSQL programs cannot take such a password from a file: choose another one.',
    });
  return `*:*:*:*:${access.password.replace(/[\\:]/g, '\\$&')}\n`;
}

function connectionVariables(access: DatabaseAccess, certificates: string | undefined): Record<string, string> {
  return {
    PGHOST: access.host,
    PGPORT: String(access.port),
    PGUSER: access.user,
    // As a variable, and not an argument, a name with `=` in it is no connection string.
    PGDATABASE: access.name,
    PGSSLMODE: access.sslmode,
    ...(certificates === undefined ? {} : { PGSSLROOTCERT: certificates }),
    PGAPPNAME: APPLICATION_NAME,
    PGCONNECT_TIMEOUT: '15',
  };
}
