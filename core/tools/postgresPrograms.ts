import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HoldfastError } from '../errors.ts';
import { readProcess } from '../process/childProcess.ts';
import { findOnPath, firstExecutable, type Environment } from './programPath.ts';
import type { Say } from './say.ts';

/** Where Debian's and PGDG's packages put each major version's programs, server included. */
const DEBIAN_ROOT = '/usr/lib/postgresql';

/**
 * The directory with PostgreSQL's server and client programs (`initdb`, `postgres`, `pg_dump`, ...): the newest major
 * under /usr/lib/postgresql, else where PATH finds `initdb`. Undefined when there is no server on this machine.
 */
export async function findPostgresPrograms(environment: Environment): Promise<string | undefined> {
  const majors = (await readdir(DEBIAN_ROOT).catch(() => [])).filter((name) => /^\d+$/.test(name));
  const newestFirst = majors.toSorted((left, right) => Number(right) - Number(left));
  const initdb =
    (await firstExecutable(newestFirst.map((major) => join(DEBIAN_ROOT, major, 'bin', 'initdb')))) ??
    (await findOnPath('initdb', environment));
  return initdb === undefined ? undefined : dirname(initdb);
}

/**
 * As `findPostgresPrograms`, but installs Debian's `postgresql` package first where there is none, when this process
 * is root on a machine with apt. Rejects with `ToolMissing` and the exact command elsewhere.
 */
export async function bringPostgresPrograms(environment: Environment, say: Say): Promise<string> {
  const found = await findPostgresPrograms(environment);
  if (found !== undefined) return found;
  if (process.getuid?.() !== 0 || (await findOnPath('apt-get', environment)) === undefined) throw missing();
  say('PostgreSQL is not installed: installing it with apt-get (about a minute) ...');
  await apt(['update', '--quiet']);
  await apt(['install', '--yes', '--quiet', '--no-install-recommends', 'postgresql']);
  const installed = await findPostgresPrograms(environment);
  if (installed === undefined) throw missing();
  return installed;
}

async function apt(args: readonly string[]): Promise<void> {
  await readProcess({ command: 'apt-get', args, environment: { DEBIAN_FRONTEND: 'noninteractive' } }).catch(
    (cause: unknown) => {
      throw missing(cause);
    },
  );
}

function missing(cause?: unknown): HoldfastError {
  return new HoldfastError('ToolMissing', "PostgreSQL's server programs (initdb, postgres) are not on this machine", {
    advice:
      'Install them: `sudo apt-get update && sudo apt-get install postgresql` (Debian, Ubuntu), ' +
      '`sudo dnf install postgresql-server postgresql-contrib` (Fedora) or `brew install postgresql` (macOS).',
    cause,
  });
}
