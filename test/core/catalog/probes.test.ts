import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { openCatalog, query, type Catalog } from '../../../core/catalog/catalog.ts';
import { migrateCatalog } from '../../../core/catalog/migrate.ts';
import { learnedFrom, newestProbes, recordProbe } from '../../../core/catalog/probes.ts';
import { HoldfastError } from '../../../core/errors.ts';
import type { ProbeReport } from '../../../core/storage/probe/report.ts';
import { s3ProfileOf, type S3BackendSettings } from '../../../core/storage/s3Profiles.ts';
import { urlOf } from '../../support/application.ts';
import { createDatabase } from '../../support/servers.ts';

const SETTINGS: S3BackendSettings = {
  type: 's3',
  provider: 'generic',
  bucket: 'shop',
  prefix: 'prod',
  endpoint: 'http://127.0.0.1:9000',
  concurrency: 2,
  requestTimeout: 1_000,
};

const REPORT: ProbeReport = {
  backend: 'store',
  place: 'http://127.0.0.1:9000 shop prod',
  at: '2026-11-20T02:00:00.000Z',
  state: 'differs',
  findings: [{ what: 'conditional put', found: 'ignored', expected: 'kept', state: 'differs', meaning: 'x' }],
  learned: { conditionalPut: 'no', checksum: 'md5' },
  leftBehind: [],
};

test('the newest probe of a backend is kept, and read back as it was', async (t) => {
  const catalog = await migratedCatalog(t);
  const newer = { ...REPORT, at: '2026-11-21T02:00:00.000Z', state: 'equal' as const };
  await recordProbe(catalog, REPORT);
  await recordProbe(catalog, { ...REPORT, backend: 'other' });
  await recordProbe(catalog, newer);
  await recordProbe(catalog, REPORT);
  const probes = await newestProbes(catalog);
  assert.deepEqual([...probes.keys()].toSorted(), ['other', 'store']);
  assert.deepEqual(probes.get('store'), newer);
  await query(catalog, `UPDATE holdfast.backend_probe SET report = '{"of": "another release"}'`);
  assert.equal((await newestProbes(catalog)).size, 0);
});

test('a profile learns of a probe of the same storage, and the configuration has the last word', async (t) => {
  const catalog = await migratedCatalog(t);
  await recordProbe(catalog, REPORT);
  const lookUp = learnedFrom(async () => catalog, assert.fail);
  const learned = await lookUp('store', SETTINGS);
  assert.deepEqual(learned, REPORT.learned);
  assert.equal(await lookUp('store', { ...SETTINGS, bucket: 'another' }), undefined);
  assert.equal(await lookUp('unknown', SETTINGS), undefined);

  assert.deepEqual(told(s3ProfileOf('store', SETTINGS)), ['sha256', 'maybe']);
  assert.deepEqual(told(s3ProfileOf('store', SETTINGS, learned)), ['md5', 'no']);
  const explicit = { ...SETTINGS, checksum: 'none', conditionalPut: 'yes' } as const;
  assert.deepEqual(told(s3ProfileOf('store', explicit, learned)), ['none', 'yes']);
});

test('a catalog that is away or hangs stops nobody: the profile holds', async () => {
  const reasons: string[] = [];
  assert.equal(await learnedFrom(away, (reason) => reasons.push(reason))('store', SETTINGS), undefined);
  assert.equal(await learnedFrom(hanging, (reason) => reasons.push(reason))('store', SETTINGS), undefined);
  assert.deepEqual(reasons, ['nobody answers', 'the catalog does not answer']);
});

function told({ checksum, conditionalPut }: ReturnType<typeof s3ProfileOf>): string[] {
  return [checksum, conditionalPut];
}

function away(): Promise<Catalog> {
  return Promise.reject(new HoldfastError('CatalogUnavailable', 'nobody answers'));
}

function hanging(): Promise<Catalog> {
  return new Promise(() => undefined);
}

async function migratedCatalog(t: TestContext): Promise<Catalog> {
  const catalog = openCatalog(urlOf(await createDatabase(t)));
  t.after(() => catalog.close());
  await migrateCatalog(catalog);
  return catalog;
}
