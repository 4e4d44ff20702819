import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../../core/errors.ts';
import { readProcess } from '../../core/process/childProcess.ts';
import { differences, readContents } from './databaseContents.ts';
import type { DemoLayout } from './layout.ts';
import { SHOP_DATABASE, withClient, type ServerLogin } from './shopDatabase.ts';

export interface Proof {
  readonly relations: number;
  readonly rows: number;
  readonly archiveEntries: number;
}

const SCRATCH_DATABASE = 'shop_recovered';

/**
 * Restores a dump into a scratch database with PostgreSQL's own pg_restore and holds it against the shop, row by row.
 * Rejects with `ObjectDamaged` naming what differs.
 */
export async function proveDump(
  dump: string,
  layout: DemoLayout,
  server: ServerLogin & { readonly binDirectory: string },
  signal: AbortSignal,
): Promise<Proof> {
  const { host, port, user, password, binDirectory } = server;
  const login = { host, port, user, password };
  const passwordFile = join(layout.secrets, 'pgpass');
  const restore = (args: readonly string[]) =>
    readProcess({
      command: join(binDirectory, 'pg_restore'),
      args,
      environment: { PGPASSFILE: passwordFile },
      signal,
    });
  const entries = await restore(['--list', dump]);
  const original = await withClient(login, SHOP_DATABASE, readContents);

  await writeFile(passwordFile, `${host}:${port}:*:${user}:${password}\n`, { mode: 0o600 });
  await inDatabase(login, `drop database if exists ${SCRATCH_DATABASE} with (force)`);
  await inDatabase(login, `create database ${SCRATCH_DATABASE} template template0`);
  try {
    const target = [`--host=${host}`, `--port=${port}`, `--username=${user}`, `--dbname=${SCRATCH_DATABASE}`];
    await restore([...target, '--no-password', '--exit-on-error', dump]);
    const restored = await withClient(login, SCRATCH_DATABASE, readContents);
    const different = differences(original, restored);
    if (different.length > 0) {
      throw new HoldfastError('ObjectDamaged', `the restored database differs in ${different.join(', ')}`);
    }
  } finally {
    await rm(passwordFile, { force: true });
    await inDatabase(login, `drop database if exists ${SCRATCH_DATABASE} with (force)`);
  }
  return {
    relations: Object.keys(original).length,
    rows: Object.values(original).reduce((sum, { rows }) => sum + rows, 0),
    archiveEntries: entries.split('\n').filter((line) => /^\d/.test(line)).length,
  };
}

async function inDatabase(login: ServerLogin, statement: string): Promise<void> {
  await withClient(login, 'postgres', (client) => client.query(statement));
}
