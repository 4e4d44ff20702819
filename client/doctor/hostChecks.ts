import { access, constants, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Configuration } from '../../core/config/schema.ts';
import { codeOf, messageOf } from '../../core/errors.ts';
import { findTar } from '../../core/files/tarProgram.ts';
import { findClientPrograms, securityWarning } from '../../core/postgres/clients.ts';
import { formatBytes } from '../../core/format.ts';
import { failure, ok, warning, type Check, type Finding } from './finding.ts';

/** Are the programs there that read the sources, and are they recent enough to be safe. */
export function programsCheck(configuration: Configuration): Check {
  const sources = Object.values(configuration.sources);
  return {
    subject: 'programs',
    run: async () => [
      ...(sources.some(({ database }) => database) ? await postgresPrograms() : []),
      ...(sources.some(({ files }) => Object.keys(files).length > 0) ? await tarProgram() : []),
    ],
  };
}

/** Is the spool there, private and large enough. */
export function spoolCheck({ spool }: Configuration): Check {
  return {
    subject: 'spool',
    run: async () => {
      try {
        const { mode } = await stat(spool.path);
        await access(spool.path, constants.R_OK | constants.W_OK | constants.X_OK);
        return [...spoolRoom(await freeBytes(spool.path), spool.limit), ...spoolMode(spool.path, mode)];
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return spoolToBe(spool.path);
        return [failure(`${spool.path}: ${messageOf(error)}`, 'Let the user that runs the worker own it, mode 0700.')];
      }
    },
  };
}

async function postgresPrograms(): Promise<Omit<Finding, 'subject'>[]> {
  const installed = await findClientPrograms();
  const [newest] = installed;
  if (!newest) {
    const advice = 'Install the PostgreSQL client programs of at least the major version of your servers.';
    return [failure('pg_dump is not installed', advice)];
  }
  const unsafe = securityWarning(newest);
  const versions = installed.map(({ version, directory }) => `${version} in ${directory}`).join('; ');
  return [ok(`PostgreSQL clients ${versions}`), ...(unsafe ? [warning(unsafe.message, unsafe.advice)] : [])];
}

async function tarProgram(): Promise<Omit<Finding, 'subject'>[]> {
  const tar = await findTar();
  if (tar) return [ok(`GNU tar in ${tar.path}`)];
  const message = 'GNU tar is not installed: sparse files, extended attributes and ACLs are not kept';
  return [warning(message, 'Install GNU tar 1.28 or newer.')];
}

function spoolRoom(free: number, limit: number): Omit<Finding, 'subject'>[] {
  const text = `${formatBytes(free)} free, its limit is ${formatBytes(limit)}`;
  return [free < limit ? warning(text, 'Make room, or lower spool.limit to what there is.') : ok(text)];
}

function spoolMode(path: string, mode: number): Omit<Finding, 'subject'>[] {
  if ((mode & 0o077) === 0) return [];
  return [
    warning(`${path} has mode 0${(mode & 0o777).toString(8)}: others can reach it`, `Run \`chmod 0700 ${path}\`.`),
  ];
}

/** The worker makes the directory at its start; what has to be there is a place to make it in. */
async function spoolToBe(path: string): Promise<Omit<Finding, 'subject'>[]> {
  for (let parent = dirname(path); ; parent = dirname(parent)) {
    try {
      await access(parent, constants.W_OK | constants.X_OK);
      return [ok(`${path} is not there yet; the worker will make it`)];
    } catch (error) {
      if (codeOf(error) === 'ENOENT' && parent !== '/') continue;
      return [
        failure(`${path} cannot be made: ${messageOf(error)}`, `Create it with mode 0700 for the worker's user.`),
      ];
    }
  }
}

async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}
