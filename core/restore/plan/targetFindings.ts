import { statfs } from 'node:fs/promises';
import type pg from 'pg';
import { cutList, quoteIdentifier } from '../../postgres/identifiers.ts';
import type { Finding } from '../../postgres/finding.ts';
import { isNamed } from '../reconcile/compareInventories.ts';
import { failure, warning } from './finding.ts';
import { giverLacks, ownerLacks } from './ownerFindings.ts';
import { defaultPrivilegesOf, ownersIn } from './ownersIn.ts';
import { createRolesSql } from '../database/sourceRoles.ts';
import { isLeftOver } from '../database/targetDatabase.ts';
import type { RoleOnServer } from './roleOnServer.ts';
import type { PreflightTargetOptions } from '../run.ts';

/** What a session on the target's server tells about it, question by question. */

/** PostgreSQL's NAMEDATALEN is 64, with the zero at its end. */
const LONGEST_NAME = 63;
const RESERVED = ['postgres', 'template0', 'template1'];

/**
 * A name that somebody types is one that every tool can be given. PostgreSQL takes any, and so do restores of a database that
 * has such a one: it is quoted wherever it goes.
 */
export function nameFinding({ target, namedAfterSource, description }: PreflightTargetOptions): Finding[] {
  const bytes = Buffer.byteLength(target);
  if (bytes > LONGEST_NAME)
    return [
      failure(
        `the name ${target} has ${bytes} bytes`,
        `PostgreSQL's names have at most ${LONGEST_NAME}.`,
        'InvalidInput',
      ),
    ];
  const known = namedAfterSource === true || target === description.inventory.database.name;
  if (!known && !/^[\p{L}_][\p{L}\p{N}_$.-]*$/u.test(target))
    return [
      failure(
        `${JSON.stringify(target)} is no name for a database`,
        'Use letters, digits, _, $, . and -, and begin with a letter.',
        'InvalidInput',
      ),
    ];
  if (RESERVED.includes(target)) return [failure(`database ${target} belongs to the server`, 'Choose another name.')];
  return [];
}

export async function existenceFinding(
  client: pg.Client,
  { target, mark }: PreflightTargetOptions,
): Promise<Finding[]> {
  const { rowCount } = await client.query('select from pg_database where datname = $1', [target]);
  if (rowCount === 0 || (mark !== undefined && (await isLeftOver(client, target, mark)))) return [];
  return [failure(`database ${target} exists already`, 'Choose another name, or drop it first.')];
}

export function versionFindings(
  server: { readonly version: string; readonly major: number; readonly recovering: boolean },
  { manifest }: PreflightTargetOptions,
): Finding[] {
  const dumped = manifest.database?.serverVersion ?? '';
  const findings: Finding[] = [];
  if (server.recovering) findings.push(failure('the server is a standby', 'Restore on the primary.'));
  if (server.major < Number.parseInt(dumped, 10))
    findings.push(
      failure(
        `the server is PostgreSQL ${server.version}, older than ${dumped}, which was dumped`,
        'Restore on a server that is not older.',
      ),
    );
  const dumper = manifest.database?.clientVersion ?? '';
  if (Number.parseInt(dumper, 10) > server.major)
    findings.push(
      warning(
        `pg_dump ${dumper} wrote the backup, newer than the server, PostgreSQL ${server.version}: what it writes need not load there`,
        `Install the client programs of PostgreSQL ${server.major} beside the worker for backups to come (postgresql-client-${server.major} on Debian and Ubuntu).`,
      ),
    );
  return findings;
}

export async function roleFindings(
  client: pg.Client,
  role: RoleOnServer,
  serverMajor: number,
  {
    description,
    noOwner = false,
    noPrivileges = false,
    tables,
    createRoles: willBeMade = false,
  }: PreflightTargetOptions,
): Promise<{ findings: Finding[]; createRoles: string[] }> {
  const findings: Finding[] = [];
  if (!role.superuser && !role.createDatabase)
    findings.push(
      failure(`role ${role.name} may not create databases`, `ALTER ROLE ${quoteIdentifier(role.name)} CREATEDB;`),
    );
  const { inventory, globals } = description;
  const { rows } = await client.query<{ name: string }>('select rolname as name from pg_roles');
  const present = rows.map(({ name }) => name);
  const lacking = inventory.roles.filter(({ name }) => !present.includes(name));
  const missing = lacking.map(({ name }) => name);
  const needed = lacking.some((each) => isNamed(each, inventory));
  const createRoles = createRolesSql(globals, missing, present, 'shown');
  if (missing.length > 0) {
    const names = cutList(missing.map(quoteIdentifier));
    if (willBeMade && !role.superuser && !role.createRole)
      findings.push(
        failure(`role ${role.name} may not create roles`, `ALTER ROLE ${quoteIdentifier(role.name)} CREATEROLE;`),
      );
    // Policies name roles too, and cannot be left out.
    if (willBeMade) findings.push(warning(`${missing.length} roles are missing and will be created: ${names}`, ''));
    else if (!needed)
      findings.push(
        warning(
          `${missing.length} roles are missing that roles of the database are members of: ${names}; it is restored without, and what they were allowed by them they are not`,
          createRoles.join(' '),
        ),
      );
    else
      findings.push({
        ...failure(`${missing.length} roles are missing: ${names}`, createRoles.join(' ')),
        severity: noOwner ? 'warning' : 'failure',
      });
  }
  if (!noOwner) {
    const toBeMade = willBeMade ? missing : [];
    for (const { message, advice } of await ownerLacks(client, role, serverMajor, {
      owners: ownersIn(inventory),
      toBeMade,
    }))
      findings.push(failure(message, `${advice} or restore as a superuser, or leave owners out.`));
  }
  if (!noPrivileges && tables === undefined) {
    const told = noOwner ? [] : ownersIn(inventory).map(({ name }) => name);
    const givers = defaultPrivilegesOf(inventory).filter((name) => !told.includes(name));
    for (const { message, advice } of await giverLacks(client, role, serverMajor, givers))
      findings.push(
        failure(message, `${advice} or restore as a superuser, or leave privileges out (--no-privileges).`),
      );
  }
  return { findings, createRoles };
}

interface ExtensionRow {
  readonly name: string;
  readonly versions: readonly string[];
  readonly default_version: string;
  readonly trusted: boolean;
}

export async function extensionFindings(
  client: pg.Client,
  role: RoleOnServer,
  { inventory }: PreflightTargetOptions['description'],
): Promise<Finding[]> {
  const { rows } = await client.query<ExtensionRow>(
    `select v.name, array_agg(v.version) as versions, e.default_version, bool_or(v.trusted) as trusted
       from pg_available_extension_versions v join pg_available_extensions e using (name)
      where v.name = any ($1) group by v.name, e.default_version`,
    [inventory.extensions.map(({ name }) => name)],
  );
  return inventory.extensions.flatMap(({ name, version }): Finding[] => {
    const found = rows.find((each) => each.name === name);
    if (found === undefined)
      return [
        failure(
          `extension ${name} ${version} is not installed on the server`,
          `Install the package that brings ${name}; the dump runs CREATE EXTENSION.`,
        ),
      ];
    const findings: Finding[] = [];
    // A dump asks for no version: the server's default one is what comes.
    if (found.default_version !== version)
      findings.push(
        warning(
          `extension ${name} comes in version ${found.default_version} where ${version} was dumped`,
          found.versions.includes(version)
            ? `To have the same: ALTER EXTENSION ${quoteIdentifier(name)} UPDATE TO '${version}';`
            : `Install version ${version}, or see that the application takes ${found.default_version}.`,
        ),
      );
    if (!found.trusted && !role.superuser && name !== 'plpgsql')
      findings.push(
        warning(`only a superuser can create extension ${name} on most servers`, 'Restore as a superuser.'),
      );
    return findings;
  });
}

/** Without a privilege a role may make things in a database's own tablespace only, and no database but in the server's default. */
export async function tablespaceFindings(
  client: pg.Client,
  role: RoleOnServer,
  needed: readonly string[],
): Promise<Finding[]> {
  const { rows } = await client.query<{ name: string; allowed: boolean }>(
    `select spcname as name, has_tablespace_privilege(oid, 'create') as allowed from pg_tablespace`,
  );
  return needed.flatMap((name) => {
    const found = rows.find((row) => row.name === name);
    if (found?.allowed) return [];
    if (found === undefined)
      return [failure(`tablespace ${name} is missing`, `CREATE TABLESPACE ${quoteIdentifier(name)} LOCATION '...';`)];
    return [
      failure(
        `role ${role.name} may make nothing in tablespace ${name}`,
        `GRANT CREATE ON TABLESPACE ${quoteIdentifier(name)} TO ${quoteIdentifier(role.name)};`,
      ),
    ];
  });
}

/** Beside the database itself there is the log of its writing, which the server recycles. */
const SPACE_FACTOR = 1.1;

export async function spaceFindings(
  client: pg.Client,
  { manifest, server, tables }: PreflightTargetOptions,
): Promise<{ findings: Finding[]; requiredBytes: number; freeBytes?: number }> {
  const requiredBytes = Math.ceil((manifest.database?.bytes ?? 0) * SPACE_FACTOR);
  const freeBytes = isLocal(server.host) ? await readFreeBytes(client) : undefined;
  if (freeBytes === undefined)
    return {
      findings: [
        warning(
          'how much room the server has cannot be seen from here',
          `Look that ${size(requiredBytes)} are free there.`,
        ),
      ],
      requiredBytes,
    };
  if (freeBytes >= requiredBytes) return { findings: [], requiredBytes, freeBytes };
  const message = `the server has ${size(freeBytes)} free; the database needs about ${size(requiredBytes)}`;
  const finding = failure(message, 'Make room on the file system of its data directory.');
  return { findings: [tables ? { ...finding, severity: 'warning' } : finding], requiredBytes, freeBytes };
}

function isLocal(host: string): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || host.startsWith('127.');
}

/** Undefined where the role may not ask, or the server lives in a container with a file system of its own. */
async function readFreeBytes(client: pg.Client): Promise<number | undefined> {
  const { rows } = await client.query<{ directory: string | null }>(
    `select setting as directory from pg_settings where name = 'data_directory'`,
  );
  const directory = rows[0]?.directory;
  if (!directory) return undefined;
  const found = await statfs(directory).catch(() => undefined);
  return found && found.bavail * found.bsize;
}

function size(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
