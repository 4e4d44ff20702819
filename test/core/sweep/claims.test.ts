import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { openCatalog, type Catalog } from '../../../core/catalog/catalog.ts';
import { migrateCatalog } from '../../../core/catalog/migrate.ts';
import type { CopyState } from '../../../core/catalog/record.ts';
import { recordBackup } from '../../../core/catalog/write.ts';
import type { Backends } from '../../../core/config/open.ts';
import { HoldfastError } from '../../../core/errors.ts';
import { openBackend } from '../../../core/storage/openBackend.ts';
import { claimFinder, type FindClaim } from '../../../core/sweep/claims.ts';
import { urlOf } from '../../support/application.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { createDatabase } from '../../support/servers.ts';
import { sampleManifest } from '../repository/sampleBackup.ts';

/** Objects without a manifest can be all that is left of a backup whose manifest somebody deleted. */

const LOCATION = { source: 'shop', tier: 'daily', backup: '20260101T020000Z-abc123' } as const;

test('[20] a copy that the catalog knows as published is claimed, one that never was is not', async (t) => {
  const catalog = await migratedCatalog(t);
  const find = await finder(t, catalog);
  const expected: [CopyState, boolean][] = [
    ['verified', true],
    ['missing', true],
    ['damaged', true],
    ['failed', false],
  ];
  for (const [state, claimed] of expected) {
    await record(catalog, [{ backend: 'here', state }]);
    assert.equal(/published backup/.test((await find(LOCATION)) ?? ''), claimed, state);
  }
  await record(catalog, [{ backend: 'there', state: 'verified' }], '20260101T020000Z-abc124');
  assert.equal(await find({ ...LOCATION, backup: '20260101T020000Z-abc124' }), undefined, 'never went here');
});

test('[20] a backup the catalog does not know is claimed where another backend has its manifest, or cannot say', async (t) => {
  const catalog = await migratedCatalog(t);
  const there = openBackend('there', { type: 'local', path: await temporaryDirectory(t) });
  const find = await finder(t, catalog, there);
  assert.equal(await find(LOCATION), undefined, 'nobody has one');
  await there.put('shop/daily/20260101T020000Z-abc123/manifest.json', Buffer.from('{}'));
  assert.match((await find(LOCATION)) ?? '', /published on there/);
  const silent = openBackend('there', { type: 'local', path: '/no/such/directory' });
  assert.match((await (await finder(t, catalog, silent))(LOCATION)) ?? '', /there cannot be asked/);
});

test('while the catalog is away everything is claimed, and it is waited for once', async (t) => {
  let asked = 0;
  const away = () => {
    asked += 1;
    return Promise.reject(new HoldfastError('CatalogUnavailable', 'nobody answers'));
  };
  const find = await finder(t, away);
  for (let turn = 0; turn < 3; turn += 1) assert.match((await find(LOCATION)) ?? '', /catalog cannot be asked/);
  assert.equal(asked, 1);
});

async function finder(
  t: TestContext,
  catalog: Catalog | (() => Promise<Catalog>),
  there = openBackend('there', { type: 'local', path: '/no/such/directory' }),
): Promise<FindClaim> {
  const backends: Backends = { get: async () => there, close: () => undefined };
  return claimFinder({
    backend: 'here',
    backendNames: ['here', 'there'],
    backends,
    catalog: typeof catalog === 'function' ? catalog : async () => catalog,
    signal: t.signal,
  });
}

async function migratedCatalog(t: TestContext): Promise<Catalog> {
  const catalog = openCatalog(urlOf(await createDatabase(t)));
  t.after(() => catalog.close());
  await migrateCatalog(catalog);
  return catalog;
}

async function record(
  catalog: Catalog,
  copies: { backend: string; state: CopyState }[],
  id: string = LOCATION.backup,
): Promise<void> {
  const manifest = sampleManifest({ id });
  await recordBackup(catalog, {
    id,
    source: manifest.source,
    kind: manifest.kind,
    tier: manifest.tier,
    plan: manifest.plan,
    state: 'degraded',
    requiredCopies: 1,
    startedAt: manifest.startedAt,
    endedAt: manifest.sealedAt,
    manifest,
    manifestSha256: 'a'.repeat(64),
    copies,
  });
}
