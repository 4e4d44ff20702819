import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext } from 'node:test';
import { openLocalBackend } from '../../../core/storage/local.ts';
import { shell } from '../../core/files/trees.ts';
import { accessTo, dumpInto, runSql } from '../../core/postgres/support.ts';
import { newTarget } from '../../core/restore/support.ts';
import { archiveDirectory, storeBackup, writeBackupKeys, type PlainPart } from '../../core/repository/storedBackup.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { createDatabase, testPostgres } from '../../support/servers.ts';

/** What tests of `recover restore` begin with. */

const SHOP = `create table customers (id int primary key, name text);
  insert into customers select i, md5(i::text) from generate_series(1, 3000) i;
  create table orders (id serial primary key, customer int references customers);
  insert into orders (customer) select 1 + i % 3000 from generate_series(1, 5000) i; create index on orders (customer)`;
const TREE = `mkdir -p photos/2026; head -c 200000 /dev/urandom > photos/2026/a.jpg; ln -s a.jpg photos/2026/b.jpg
  chmod 2750 photos; touch -d '2020-01-02 03:04:05.5' photos/2026`;

/** A backup of a database and a tree in a directory, and the keys it needs in files. */
export async function storedShop(context: TestContext, sql = SHOP) {
  const home = await temporaryDirectory(context);
  const copies = await temporaryDirectory(context);
  const tree = join(await temporaryDirectory(context), 'media');
  await mkdir(tree);
  shell(tree, TREE);
  const database = await createDatabase(context);
  await runSql(database, sql.replaceAll('SOURCE', database.name));
  const { directory, parts } = await dumpInto(context, accessTo(database));
  const plain: PlainPart[] = [{ part: 'media', format: 'tar', ...(await archiveDirectory(tree)) }];
  for (const part of parts) {
    const format = part === 'inventory' ? 'json' : part === 'globals' ? 'sql' : 'pg_dump-custom';
    plain.push({ part, format, bytes: await readFile(join(directory, part)) });
  }
  const keys = await writeBackupKeys(home);
  const manifest = await storeBackup([openLocalBackend('storage', { type: 'local', path: copies })], keys, plain);
  const storage = ['--local', copies, '--verify-key', join(home, 'sign.pub.pem'), '--key', join(home, 'ops.key')];
  return { home, copies, tree, database, keys, plain, manifest, storage, target: await newTarget(context) };
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process of its own in an empty directory, with nothing in its environment but what is given. */
export function start(
  home: string,
  args: readonly string[],
  environment: Record<string, string> = {},
  command: 'restore' | 'extract' | 'list' = 'restore',
) {
  const child = spawn(
    process.execPath,
    [new URL('../../../client/bin.js', import.meta.url).pathname, 'recover', command, ...args],
    { cwd: home, env: { PATH: `${testPostgres().binDirectory}:/usr/bin:/bin`, HOME: home, ...environment } },
  );
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { child, ended };
}

export const run = (home: string, args: readonly string[], environment?: Record<string, string>) =>
  start(home, args, environment).ended;

/** The server's address without its password. */
export function serverUrl(): string {
  const { host, port, user } = testPostgres();
  return `postgresql://${encodeURIComponent(user)}@${encodeURIComponent(host)}:${port}/postgres`;
}

/** What lies in a directory beside what a test put there first, and the caches of node. */
export async function newIn(home: string): Promise<string[]> {
  const names = await readdir(home);
  return names.filter((name) => !/^\.cache$|\.key$|\.pem$|^password/.test(name)).toSorted();
}
