import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { openCatalog, query, withCatalog, type Catalog } from '../../../core/catalog/catalog.ts';
import { migrateCatalog, migrationState } from '../../../core/catalog/migrate.ts';
import { findBackup, lastVerified, listBackups, listVerifications } from '../../../core/catalog/read.ts';
import type { BackupRecord } from '../../../core/catalog/record.ts';
import { recordBackup, recordVerification } from '../../../core/catalog/write.ts';
import { isHoldfastError } from '../../../core/errors.ts';
import { createDatabase } from '../../support/servers.ts';
import { sampleManifest } from '../repository/sampleBackup.ts';

async function catalogUrl(t: TestContext): Promise<string> {
  const { host, port, name, user, password } = await createDatabase(t);
  return `postgresql://${user}:${encodeURIComponent(password)}@${host}:${port}/${name}`;
}

async function migratedCatalog(t: TestContext): Promise<Catalog> {
  const catalog = openCatalog(await catalogUrl(t));
  t.after(() => catalog.close());
  await migrateCatalog(catalog);
  return catalog;
}

function record(changes: Partial<BackupRecord> = {}): BackupRecord {
  const manifest = changes.manifest ?? sampleManifest({ id: changes.id, source: changes.source });
  return {
    id: manifest.id,
    source: manifest.source,
    kind: manifest.kind,
    tier: manifest.tier,
    plan: manifest.plan,
    state: 'verified',
    requiredCopies: 1,
    startedAt: manifest.startedAt,
    endedAt: manifest.sealedAt,
    manifest,
    manifestSha256: 'a'.repeat(64),
    workflowId: 'backup-shop',
    runId: 'run-1',
    copies: [
      {
        backend: 'local',
        state: 'verified',
        bytes: 1234,
        uploadedAt: manifest.sealedAt,
        uploadMs: 12,
        verifiedAt: manifest.sealedAt,
        verifyMs: 7,
      },
      { backend: 'r2', state: 'verified', bytes: 1234 },
    ],
    ...changes,
  };
}

const at = (day: number) => `2026-11-${day}T02:00:00.000Z`;

test('a recorded backup is read back as it was, and recording it twice changes nothing', async (t) => {
  const catalog = await migratedCatalog(t);
  const written = record();
  await recordBackup(catalog, written);
  await recordBackup(catalog, written);
  const all = await listBackups(catalog);
  assert.equal(all.length, 1);
  assert.deepEqual(JSON.parse(JSON.stringify(all[0])), {
    ...JSON.parse(JSON.stringify(written)),
    originalBytes: written.manifest?.parts.reduce((sum, part) => sum + part.originalBytes, 0),
    compressedBytes: written.manifest?.parts.reduce((sum, part) => sum + part.compressedBytes, 0),
    storedBytes: written.manifest?.parts.reduce((sum, part) => sum + part.storedBytes, 0),
  });
});

test('a run that stored nothing is listed as failed with its reason', async (t) => {
  const catalog = await migratedCatalog(t);
  await recordBackup(catalog, {
    ...record(),
    state: 'failed',
    manifest: undefined,
    manifestSha256: undefined,
    problem: { type: 'SourceUnreachable', message: 'db:5432 does not answer\0' },
    copies: [],
  });
  const [failed] = await listBackups(catalog, { state: 'failed' });
  assert.deepEqual(failed?.problem, { type: 'SourceUnreachable', message: 'db:5432 does not answer' });
  assert.equal(failed.manifest, undefined);
});

test('a backup is found by its id or a unique prefix; a miss names the nearest', async (t) => {
  const catalog = await migratedCatalog(t);
  await recordBackup(catalog, record({ id: '20261120T020000Z-7f3k9q' }));
  await recordBackup(catalog, record({ id: '20261120T020000Z-7f3zzz' }));
  await recordBackup(catalog, record({ id: '20261121T020000Z-aaaaaa' }));
  assert.equal((await findBackup(catalog, '20261121')).id, '20261121T020000Z-aaaaaa');
  assert.equal((await findBackup(catalog, '20261120T020000Z-7f3zzz')).id, '20261120T020000Z-7f3zzz');
  await assert.rejects(findBackup(catalog, '20261120T020000Z-7f3k9p'), (error) => {
    assert.ok(isHoldfastError(error, 'InvalidInput'));
    assert.match(error.advice ?? '', /one of: 20261120T020000Z-7f3k9q/);
    return true;
  });
  await assert.rejects(findBackup(catalog, '20261120'), /More than one backup begins with 20261120/);
  await assert.rejects(findBackup(catalog, '2026%'), /There is no backup 2026%/);
});

test('lists are filtered and newest first, and the last verified backup is of that source and kind', async (t) => {
  const catalog = await migratedCatalog(t);
  await recordBackup(catalog, record({ id: '20261110T020000Z-aaaaaa', startedAt: at(10) }));
  await recordBackup(catalog, record({ id: '20261112T020000Z-bbbbbb', startedAt: at(12), state: 'degraded' }));
  await recordBackup(catalog, record({ id: '20261111T020000Z-cccccc', startedAt: at(11) }));
  await recordBackup(catalog, record({ id: '20261113T020000Z-dddddd', startedAt: at(13), source: 'other' }));
  const ids = (await listBackups(catalog, { source: 'shop' })).map((backup) => backup.id.slice(-6));
  assert.deepEqual(ids, ['bbbbbb', 'cccccc', 'aaaaaa']);
  assert.equal((await lastVerified(catalog, 'shop', 'full'))?.id, '20261111T020000Z-cccccc');
  assert.equal(await lastVerified(catalog, 'shop', 'media'), undefined);
});

test('[20] what is told late of a copy does not take back what was seen of it since', async (t) => {
  const catalog = await migratedCatalog(t);
  const { id } = record();
  await recordBackup(catalog, record());
  const look = { backupId: id, backend: 'r2', depth: 'restored', durationMs: 5 } as const;
  const stateOf = async () => (await findBackup(catalog, id)).copies[1]?.state;
  await recordVerification(catalog, { ...look, outcome: 'passed', at: at(25), depth: 'stored' });
  await recordVerification(catalog, { ...look, outcome: 'damaged', at: at(24) });
  assert.equal(await stateOf(), 'verified');
  assert.equal((await listVerifications(catalog, id)).length, 2);
  await recordVerification(catalog, { ...look, outcome: 'failed', at: at(27) });
  await recordVerification(catalog, { ...look, outcome: 'damaged', at: at(26) });
  assert.equal(await stateOf(), 'damaged');
});

test('[20] a verification that finds a copy damaged makes the backup degraded, and failed when too few are left', async (t) => {
  const catalog = await migratedCatalog(t);
  const { id } = record();
  await recordBackup(catalog, record());
  const look = { backupId: id, depth: 'stored', at: '2026-11-21T00:00:00.000Z', durationMs: 5.4 } as const;
  await recordVerification(catalog, {
    ...look,
    backend: 'r2',
    outcome: 'damaged',
    message: 'r2: database.dump is cut',
  });
  const degraded = await findBackup(catalog, id);
  assert.equal(degraded.state, 'degraded');
  assert.deepEqual(
    degraded.copies.map((copy) => [copy.backend, copy.state, copy.problem?.message]),
    [
      ['local', 'verified', undefined],
      ['r2', 'damaged', 'r2: database.dump is cut'],
    ],
  );
  assert.equal(degraded.copies[1]?.bytes, 1234, 'what the look did not measure stays');
  await recordVerification(catalog, { ...look, backend: 'local', outcome: 'missing' });
  assert.equal((await findBackup(catalog, id)).state, 'failed');
  const good = { ...look, backend: 'local', outcome: 'passed', at: '2026-11-22T00:00:00.000Z' } as const;
  await recordVerification(catalog, good);
  await recordVerification(catalog, good);
  await recordVerification(catalog, { ...good, backend: 'r2', outcome: 'failed', message: 'timed out' });
  const usable = await findBackup(catalog, id);
  assert.equal(usable.state, 'degraded');
  assert.equal(usable.copies[1]?.state, 'damaged', 'an unfinished look changes no state');
  assert.equal((await listVerifications(catalog, id)).length, 4);
  await assert.rejects(
    recordVerification(catalog, { ...good, backupId: '20200101T000000Z-000000' }),
    /knows no backup 20200101T000000Z-000000/,
  );
});

test('several processes may migrate at once; each ends with the same schema', async (t) => {
  const url = await catalogUrl(t);
  const ran = await Promise.all([1, 2, 3].map(() => withCatalog(url, migrateCatalog)));
  const { applied, ...rest } = await withCatalog(url, migrationState);
  assert.equal(applied[0], '0001_backups');
  assert.deepEqual(ran.flat(), applied, 'each ran once');
  assert.deepEqual(rest, { pending: [], unknown: [] });
});

test('a schema newer than this release is refused and not touched', async (t) => {
  const catalog = await migratedCatalog(t);
  await query(catalog, `INSERT INTO holdfast.migrations (name, run_on) VALUES ('0900_future', now())`);
  await assert.rejects(migrateCatalog(catalog), (error) => {
    assert.ok(isHoldfastError(error, 'CatalogUnavailable'));
    assert.match(error.message, /newer release of Holdfast \(0900_future\)/);
    assert.equal(error.retryable, false);
    return true;
  });
});

test('[38] an unusable catalog is named without its password', async (t) => {
  const url = new URL(await catalogUrl(t));
  url.password = 'canary-wrong-password';
  const wrong = [
    url.href,
    'postgresql://holdfast:canary-wrong-password@127.0.0.1:1/none',
    'postgresql://x:canary-%zz@h:b/',
  ];
  for (const each of wrong) {
    await assert.rejects(
      async () => withCatalog(each, (catalog) => listBackups(catalog)),
      (error) => {
        assert.ok(isHoldfastError(error, 'CatalogUnavailable') || isHoldfastError(error, 'InvalidConfiguration'));
        assert.doesNotMatch(JSON.stringify([error, error.message, error.stack, error.cause]), /canary/);
        return true;
      },
    );
  }
});

test('a catalog that was never migrated says what to do', async (t) => {
  const url = await catalogUrl(t);
  await assert.rejects(
    withCatalog(url, (catalog) => listBackups(catalog)),
    (error) => {
      assert.ok(isHoldfastError(error, 'CatalogUnavailable'));
      assert.match(error.advice ?? '', /holdfast worker/);
      return true;
    },
  );
});
