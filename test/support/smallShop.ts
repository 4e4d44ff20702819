import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runSql } from '../core/postgres/support.ts';
import type { Application } from './application.ts';
import type { TestDatabase } from './servers.ts';

/** A few thousand rows and two files: enough for every part to exist, and done in a second or two. */
export async function fillSmallShop({ database, trees }: Application): Promise<void> {
  await runSql(
    database,
    `create table customers as select i as id, md5(i::text) as name from generate_series(1, 5000) i;
     select lo_from_bytea(0, '\\x00ff')`,
  );
  await mkdir(join(trees.media, 'photos'));
  await writeFile(join(trees.media, 'photos', 'photo.jpg'), Buffer.alloc(50_000, 'photo'));
  await writeFile(join(trees.config, 'settings.ini'), 'a = b\n');
}

/** A table that hardly compresses, 320 bytes a row: an upload is under way long before its dump ends. */
export async function addBulkyTable(database: TestDatabase, rows: number): Promise<void> {
  const noise = `(select string_agg(md5(random()::text || i || j), '') from generate_series(1, 10) j)`;
  await runSql(database, `create table bulky as select i as id, ${noise} as noise from generate_series(1, ${rows}) i`);
}
