import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { openCatalog, type Catalog } from '../../../core/catalog/catalog.ts';
import { migrateCatalog } from '../../../core/catalog/migrate.ts';
import { recentRestores, recordRestore, usualRecovery, type RestoreRecord } from '../../../core/catalog/restores.ts';
import { urlOf } from '../../support/application.ts';
import { createDatabase } from '../../support/servers.ts';

const DRILL: RestoreRecord = {
  workflowId: 'drill-shop',
  runId: 'run-1',
  kind: 'drill',
  source: 'shop',
  backup: '20261120T020000Z-7f3k9q',
  backend: 'local',
  parts: ['database', 'media'],
  partial: false,
  target: 'shop_drill_7f3k9q',
  outcome: 'succeeded',
  startedAt: '2026-11-20T06:00:00.000Z',
  endedAt: '2026-11-20T06:01:00.000Z',
  recovery: 40_000,
  phases: { definitions: 1_000, rows: 39_000 },
  bytes: 5_000_000_000,
  differenceCount: 0,
};

test('a restore or drill is read back as it was, newest first, and noting it twice changes nothing', async (t) => {
  const catalog = await migratedCatalog(t);
  const failed: RestoreRecord = {
    workflowId: 'restore-shop',
    runId: 'run-2',
    kind: 'restore',
    mode: 'replace',
    source: 'shop',
    parts: [],
    partial: false,
    outcome: 'refused',
    problem: { type: 'RefusedForSafety', message: 'the server\0 is a standby' },
    startedAt: '2026-11-21T06:00:00.000Z',
    endedAt: '2026-11-21T06:00:01.000Z',
    phases: {},
  };
  for (const record of [DRILL, failed, DRILL, { ...DRILL, runId: 'elsewhere', source: 'blog' }]) {
    await recordRestore(catalog, record);
  }
  const refused = { ...failed, problem: { type: 'RefusedForSafety', message: 'the server is a standby' } };
  assert.deepEqual(plain(await recentRestores(catalog, { source: 'shop', limit: 10 })), plain([refused, DRILL]));
  assert.deepEqual(plain(await recentRestores(catalog, { source: 'shop', kind: 'drill', limit: 10 })), plain([DRILL]));
  assert.deepEqual(plain(await recentRestores(catalog, { source: 'shop', limit: 1 })), plain([refused]));
  assert.deepEqual(await recentRestores(catalog, { backup: 'another', limit: 1 }), []);
});

test('the usual time to recover is the median of whole, successful runs of the same parts', async (t) => {
  const catalog = await migratedCatalog(t);
  assert.equal(await usualRecovery(catalog, 'shop', ['database']), undefined);
  const runs: Partial<RestoreRecord>[] = [
    { recovery: 40_000 },
    { recovery: 60_000, kind: 'restore', mode: 'new' },
    { recovery: 61_000 },
    { recovery: 9, partial: true },
    { recovery: 9, outcome: 'failed' },
    { recovery: 9, parts: ['database'] },
    { recovery: 9, source: 'blog' },
    { recovery: undefined },
  ];
  for (const [index, change] of runs.entries()) {
    await recordRestore(catalog, { ...DRILL, ...change, runId: `run-${index}` });
  }
  assert.equal(await usualRecovery(catalog, 'shop', ['media', 'database']), 60_000);
  for (let index = 0; index < 10; index += 1) {
    const startedAt = `2026-11-22T06:0${index}:00.000Z`;
    await recordRestore(catalog, { ...DRILL, startedAt, recovery: 1_000, runId: `newer-${index}` });
  }
  assert.equal(await usualRecovery(catalog, 'shop', ['database', 'media']), 1_000);
});

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

async function migratedCatalog(t: TestContext): Promise<Catalog> {
  const catalog = openCatalog(urlOf(await createDatabase(t)));
  t.after(() => catalog.close());
  await migrateCatalog(catalog);
  return catalog;
}
