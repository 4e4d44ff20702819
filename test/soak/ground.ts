import assert from 'node:assert/strict';
import { readContents, type DatabaseContents } from '../../client/demo/databaseContents.ts';
import { createApplication, type Application } from '../support/application.ts';
import type { Scope } from '../support/directories.ts';
import { testS3, type TestDatabase } from '../support/servers.ts';
import { querySession } from '../support/session.ts';
import { addBulkyTable } from '../support/smallShop.ts';
import { startToxicLink } from '../support/toxiproxy.ts';

/** What a soak runs on: an application whose backend `far` is behind a slow network. */
export interface Ground {
  readonly app: Application;
  /** What every restored database has to hold. */
  readonly contents: DatabaseContents;
  /** pg_database_size(). */
  readonly bytes: number;
}

/** Kilobytes a second to the slow backend. */
const SLOW_RATE = 15_000;
/** Of a row of the bulky table on the disk. */
const ROW_BYTES = 364;

export async function prepareGround(scope: Scope, size: number): Promise<Ground> {
  const app = await createApplication(scope);
  const link = await startToxicLink(scope, testS3().endpoint);
  await link.poison('upstream', { type: 'bandwidth', attributes: { rate: SLOW_RATE } });
  const { far } = app.settings.backends;
  const { shop } = app.settings.plans ?? {};
  assert.ok(far?.type === 's3' && shop);
  far.endpoint = link.endpoint;
  await app.save();
  await addBulkyTable(app.database, Math.ceil(size / ROW_BYTES));
  return { app, contents: await contentsOf(app.database), bytes: await bytesOf(app.database) };
}

export function contentsOf(database: TestDatabase): Promise<DatabaseContents> {
  return querySession(database, readContents);
}

function bytesOf(database: TestDatabase): Promise<number> {
  return querySession(database, async (client) => {
    const { rows } = await client.query<{ bytes: string }>('select pg_database_size(current_database()) as bytes');
    return Number(rows[0]?.bytes);
  });
}
