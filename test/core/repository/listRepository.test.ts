import assert from 'node:assert/strict';
import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isHoldfastError } from '../../../core/errors.ts';
import { backupPrefix, manifestKey } from '../../../core/repository/layout.ts';
import { findPlace, newestBackup, readRepository } from '../../../core/repository/listRepository.ts';
import { locationOf } from '../../../core/repository/location.ts';
import { openLocalBackend } from '../../../core/storage/local.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { GLOBALS_SQL, newBackupKeys, storeBackup } from './storedBackup.ts';

const GLOBALS = [{ part: 'globals', format: 'sql', bytes: GLOBALS_SQL }] as const;

async function repository(t: TestContext) {
  const root = await temporaryDirectory(t);
  const backend = openLocalBackend('local', { type: 'local', path: root });
  const keys = newBackupKeys();
  const store = (id: string, source: string, startedAt: string) =>
    storeBackup([backend], keys, GLOBALS, { id, source, startedAt });
  return { root, backend, keys, checking: [keys.checking], store };
}

test('backups are found by their manifests and sorted by the time in them, never by their names', async (t) => {
  const { root, backend, checking, store } = await repository(t);
  await store('20261120T020000Z-aaaaaa', 'shop', '2026-11-20T02:00:00.000Z');
  await store('20261119T020000Z-zzzzzz', 'shop', '2026-11-22T02:00:00.000Z');
  const unfinished = await store('20261123T020000Z-cccccc', 'shop', '2026-11-23T02:00:00.000Z');
  await rm(join(root, manifestKey(locationOf(unfinished))));
  await store('20261125T020000Z-dddddd', 'other', '2026-11-25T02:00:00.000Z');
  const { backups, problems } = await readRepository(backend, checking, { source: 'shop' });
  assert.deepEqual(
    backups.map(({ manifest }) => manifest.id),
    ['20261119T020000Z-zzzzzz', '20261120T020000Z-aaaaaa'],
  );
  assert.deepEqual(problems, []);
  assert.ok(backups.every(({ signatureChecked }) => signatureChecked));
  assert.equal((await readRepository(backend, checking, { tier: 'weekly' })).backups.length, 0);
  assert.equal((await readRepository(backend, checking)).backups.length, 3);
  const { newest } = await newestBackup(backend, checking, { source: 'shop' });
  assert.equal(newest?.manifest.id, '20261119T020000Z-zzzzzz');
  assert.equal((await newestBackup(backend, checking, { source: 'shop', kind: 'logs' })).newest, undefined);
  assert.equal((await findPlace(backend, '20261125')).source, 'other');
  await assert.rejects(findPlace(backend, '202611'), /More than one backup begins with/);
});

test('[24] a manifest that is damaged, unsigned, of another signer or of another backup is reported, never left out', async (t) => {
  const { root, backend, checking, store } = await repository(t);
  const at = '2026-11-20T02:00:00.000Z';
  const good = await store('20261120T020000Z-aaaaaa', 'shop', at);
  const damaged = await store('20261120T020000Z-bbbbbb', 'shop', at);
  await writeFile(join(root, manifestKey(locationOf(damaged))), '{"manifest": {');
  await storeBackup([backend], newBackupKeys(), GLOBALS, { id: '20261120T020000Z-cccccc' });
  const moved = { ...locationOf(good), backup: '20261120T020000Z-dddddd' };
  await cp(join(root, backupPrefix(locationOf(good))), join(root, backupPrefix(moved)), { recursive: true });
  const { backups, problems } = await readRepository(backend, checking);
  assert.deepEqual(
    backups.map(({ manifest }) => manifest.id),
    [good.id],
  );
  const told = problems.map(({ problem }) => `${problem.type} ${problem.message}`).join('\n');
  assert.match(told, /ManifestInvalid local: shop\/daily\/20261120T020000Z-bbbbbb\/manifest\.json/);
  assert.match(told, /KeyMissing local: shop\/daily\/20261120T020000Z-cccccc/);
  assert.match(told, /ManifestInvalid local: shop\/daily\/20261120T020000Z-dddddd.*20261120T020000Z-aaaaaa/);
  const unchecked = await readRepository(backend, undefined);
  assert.equal(unchecked.backups.length, 2, 'without checking keys any signer will do, another place will not');
  assert.ok(unchecked.backups.every(({ signatureChecked }) => !signatureChecked));
  const { problems: doubts } = await newestBackup(backend, checking, { source: 'shop' });
  assert.equal(doubts.length, 3);
});

test('a storage that is not there is an error, not an empty repository', async () => {
  const gone = openLocalBackend('gone', { type: 'local', path: '/nonexistent/holdfast' });
  await assert.rejects(
    readRepository(gone, undefined),
    (error) => isHoldfastError(error, 'BackendRefused') || isHoldfastError(error, 'BackendUnreachable'),
  );
});
