import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../core/postgres/support.ts';
import type { Application } from './application.ts';
import { databaseContents } from './contents.ts';
import type { Scope } from './directories.ts';
import { createDatabase, type TestDatabase } from './servers.ts';

/** What a backup must be after a fault, looked at from outside. */

export type StoreName = keyof Application['stores'];

/**
 * Extracts a backup's database from one backend, restores it with pg_restore and holds it against the source; the
 * objects of the other copies must be the same bytes.
 */
export async function assertRestores(
  scope: Scope,
  app: Application,
  id: string,
  backends: readonly [StoreName, ...StoreName[]] = ['far', 'near', 'local'],
): Promise<void> {
  const [from, ...others] = backends;
  const restored = await restoreDatabase(scope, app, id, from);
  assert.deepEqual(await databaseContents(restored), await databaseContents(app.database));
  const expected = await copyOf(app, from, id);
  for (const other of others) assert.deepEqual(await copyOf(app, other, id), expected, `${other} differs from ${from}`);
}

/** Restores a backup's database into a new one. */
export async function restoreDatabase(
  scope: Scope,
  app: Application,
  id: string,
  backend: StoreName,
): Promise<TestDatabase> {
  const dump = join(app.home, `${id}-${backend}.dump`);
  const { code, stderr } = await app.holdfast('extract', id, '--backend', backend, '-o', dump);
  assert.equal(code, 0, stderr);
  const restored = await createDatabase(scope);
  await runProgram(restored, 'pg_restore', ['-d', restored.name, '--exit-on-error', dump]);
  await rm(dump);
  return restored;
}

/** The objects of one copy. Empty where there is none. */
export async function copyOf(app: Application, backend: StoreName, id: string): Promise<Map<string, Buffer>> {
  const objects = await app.stores[backend].objects();
  return new Map([...objects].filter(([key]) => key.includes(`/${id}/`)));
}

/** Objects that no manifest stands beside, uploads under way, files of unfinished writes, and what is in the spool. */
export async function strays(app: Application): Promise<string[]> {
  const found = (await app.leftBehind()).map((name) => `spool: ${name}`);
  for (const [name, store] of Object.entries(app.stores)) {
    const keys = await store.keys();
    const published = new Set(keys.filter((key) => key.endsWith('/manifest.json')).map(folderOf));
    found.push(...keys.filter((key) => !published.has(folderOf(key))).map((key) => `${name}: ${key}`));
    found.push(...(await store.leftovers()).map((key) => `${name}: unfinished ${key}`));
  }
  return found;
}

function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/'));
}
