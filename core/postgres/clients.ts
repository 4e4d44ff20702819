import { access as checkAccess, constants, glob } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HoldfastError } from '../errors.ts';
import { readProcess } from '../process/childProcess.ts';

/** PostgreSQL's client programs of one installation. */
export interface ClientPrograms {
  readonly directory: string;
  /** As the program says, e.g. `17.11`. */
  readonly version: string;
  readonly major: number;
  readonly minor: number;
}

export type ClientProgram = 'pg_dump' | 'pg_dumpall' | 'pg_restore' | 'psql';

export const OLDEST_SERVER = 14;
export const NEWEST_SERVER = 18;

/**
 * First minor release of each major whose pg_dump, pg_dumpall and pg_restore do not let a hostile source smuggle code
 * into a restore (CVE-2025-8714, CVE-2025-8715, CVE-2026-18408, from PostgreSQL's security page).
 */
const SECURITY_FLOOR: Readonly<Record<number, number>> = { 14: 24, 15: 19, 16: 15, 17: 11, 18: 6 };

const USUAL_DIRECTORIES = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/usr/local/pgsql/bin',
  '/usr/local/opt/{postgresql,libpq}*/bin',
  '/opt/homebrew/opt/{postgresql,libpq}*/bin',
  '/home/linuxbrew/.linuxbrew/opt/{postgresql,libpq}*/bin',
  '/Applications/Postgres.app/Contents/Versions/*/bin',
];

export function programPath(clients: ClientPrograms, program: ClientProgram): string {
  return join(clients.directory, program);
}

/**
 * Every installation with a pg_dump and a pg_dumpall: in `directories`, on PATH and where packages put them; newest
 * first, and of equals the one found first.
 */
export async function findClientPrograms(
  directories: readonly string[] = [],
  path: string = process.env.PATH ?? '',
): Promise<ClientPrograms[]> {
  const found: ClientPrograms[] = [];
  for (const directory of await candidateDirectories(directories, path)) {
    const clients = await readClientPrograms(directory);
    if (clients) found.push(clients);
  }
  return found.toSorted((a, b) => b.major - a.major || b.minor - a.minor);
}

/**
 * The installation that fits this server best: of its own major version, else of the next newer one. pg_dump refuses
 * servers newer than itself and reads all older ones since 9.2, but what it writes need not load into a server older
 * than itself (its manual page): 18 gives a subscription of 15 an option that 15 refuses, and pg_restore from 17 on sets
 * a timeout that servers before 17 do not know. Throws `ToolMissing`, naming what there is.
 */
export function chooseClientPrograms(
  installed: readonly ClientPrograms[],
  server: { readonly version: string; readonly major: number },
): ClientPrograms {
  const able = installed.filter((clients) => clients.major >= server.major);
  const nearest = Math.min(...able.map((clients) => clients.major));
  const fitting = able.find((clients) => clients.major === nearest);
  if (fitting) return fitting;
  const newest = installed[0];
  const have = newest
    ? `pg_dump ${newest.version} in ${newest.directory} is older than the server, PostgreSQL ${server.version}`
    : `pg_dump is not installed; the server is PostgreSQL ${server.version}`;
  throw new HoldfastError('ToolMissing', have, {
    advice: `Install the client programs of PostgreSQL ${server.major} or newer (postgresql-client-${server.major} on Debian and Ubuntu).`,
  });
}

/** What to say when these programs lack security fixes, or undefined. */
export function securityWarning(clients: ClientPrograms): { message: string; advice: string } | undefined {
  const floor = SECURITY_FLOOR[clients.major];
  if (floor === undefined || clients.minor >= floor) return undefined;
  return {
    message: `pg_dump ${clients.version} in ${clients.directory} lacks security fixes: a hostile source could run code when its dump is restored`,
    advice: `Update PostgreSQL's client programs to ${clients.major}.${floor} or newer.`,
  };
}

async function candidateDirectories(directories: readonly string[], path: string): Promise<string[]> {
  const usual: string[] = [];
  // A wrapper on PATH, such as Debian's, answers for whatever version it picks; the packages' own directories are exact.
  for (const pattern of USUAL_DIRECTORIES) for await (const match of glob(pattern)) usual.push(match);
  return [...new Set([...directories, ...usual, ...path.split(':').filter((entry) => entry.startsWith('/'))])];
}

async function readClientPrograms(directory: string): Promise<ClientPrograms | undefined> {
  const executables = ['pg_dump', 'pg_dumpall'].map((program) => join(directory, program));
  const present = await Promise.all(
    executables.map((file) =>
      checkAccess(file, constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  );
  if (!present.every(Boolean) || executables[0] === undefined) return undefined;
  // A program that cannot even say its version (broken libraries, a wrapper without its package) is no candidate.
  const output = await readProcess({ command: executables[0], args: ['--version'], stallTimeout: 10_000 }).catch(
    () => '',
  );
  const version = /\(PostgreSQL\) ((\d+)(?:\.(\d+))?\S*)/.exec(output);
  if (!version?.[1]) return undefined;
  return {
    directory: dirname(executables[0]),
    version: version[1],
    major: Number(version[2]),
    minor: Number(version[3] ?? 0),
  };
}
