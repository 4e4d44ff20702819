import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { HoldfastError, isHoldfastError } from '../../../core/errors.ts';
import { manifestKey } from '../../../core/repository/layout.ts';
import { locationOf } from '../../../core/repository/location.ts';
import type { Manifest } from '../../../core/repository/manifest.ts';
import { signManifest } from '../../../core/repository/signedManifest.ts';
import { chooseBackup } from '../../../core/restore/chooseBackup.ts';
import type { BackupWish, RestoreCopy } from '../../../core/restore/run.ts';
import { openLocalBackend } from '../../../core/storage/local.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { sampleManifest } from '../repository/sampleBackup.ts';
import { newBackupKeys } from '../repository/storedBackup.ts';

const DAY = ['20261118T020000Z-aaaaaa', '20261119T020000Z-bbbbbb', '20261120T020000Z-cccccc'] as const;

/** Three days of `shop` on two storages, newest a pre-restore backup on the first; `other` has one. */
async function repository(context: TestContext) {
  const keys = newBackupKeys();
  const roots = [await temporaryDirectory(context), await temporaryDirectory(context)];
  const backends = roots.map((path, index) => openLocalBackend(`copy-${index + 1}`, { type: 'local', path }));
  const copies: RestoreCopy[] = backends.map((backend) => ({ backend: backend.name, open: async () => backend }));
  const publish = async (id: string, changes: Partial<Manifest> = {}, on = [0, 1]) => {
    const at = `${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}T02:00:00.000Z`;
    const manifest = {
      ...sampleManifest({ id }),
      startedAt: at,
      sealedAt: at.replace('02:00:00', '02:30:00'),
      ...changes,
    };
    for (const index of on)
      await backends[index]?.put(manifestKey(locationOf(manifest)), signManifest(manifest, keys.signing));
    return manifest;
  };
  for (const id of DAY) await publish(id);
  await publish('20261121T020000Z-dddddd', { tier: 'pre-restore' }, [0]);
  await publish('20261122T020000Z-eeeeee', { source: 'other' });
  const choose = (wish: BackupWish, from = copies) =>
    chooseBackup({ wish, copies: from, checkingKeys: [keys.checking] });
  const pathOf = (index: number, manifest: Manifest) => join(roots[index] ?? '', manifestKey(locationOf(manifest)));
  return { copies, choose, publish, pathOf };
}

test('the newest backup of a source is chosen, or the newest that was whole before a time; never a pre-restore one', async (context) => {
  const { choose, copies } = await repository(context);
  const latest = await choose({ source: 'shop' });
  assert.equal(latest.manifest.id, DAY[2]);
  assert.deepEqual(latest.copies, copies);
  assert.match(latest.manifestSha256, /^[0-9a-f]{64}$/);
  assert.deepEqual(latest.passedOver, []);
  const before = async (time: string) => (await choose({ source: 'shop', backup: 'latest', before: time })).manifest.id;
  assert.equal(await before('2026-11-20T02:30:00Z'), DAY[2]);
  // Begun before that time and sealed after it: what happened meanwhile may be in it.
  assert.equal(await before('2026-11-20T02:29:59Z'), DAY[1]);
  assert.equal((await choose({ backup: '20261121' })).manifest.tier, 'pre-restore');
  assert.equal((await choose({ backup: DAY[0], source: 'shop', parts: ['database'] })).manifest.id, DAY[0]);
});

test('what makes no sense is refused, naming what there is', async (context) => {
  const { choose } = await repository(context);
  const refused = async (wish: BackupWish, message: RegExp, advice: RegExp) =>
    assert.rejects(choose(wish), (error) => {
      assert.ok(isHoldfastError(error, 'InvalidInput'), String(error));
      assert.match(error.message, message);
      assert.match(error.advice ?? '', advice);
      return true;
    });
  await refused(
    { backup: '20261119T020000Z-bbbbbc' },
    /There is no backup 20261119T020000Z-bbbbbc/,
    /20261119T020000Z-bbbbbb/,
  );
  await refused({ backup: '202611' }, /More than one backup begins with/, /2026/);
  await refused({ backup: DAY[0], source: 'other' }, /is of source shop, not other/, /shop/);
  await refused({ backup: DAY[0], parts: ['media'] }, /has no media/, /database/);
  await refused({ source: 'shop', parts: ['media'] }, /no backup of source shop with media/, /hold: .*database/);
  await refused({ source: 'shpo' }, /no backup of source shpo$/, /backups of: (other, shop|shop, other)\./);
  await refused({ source: 'shop', before: 'yesterday' }, /yesterday is no time/, /2026/);
  await refused({ source: 'shop', before: '2020-01-01' }, /from before 2020-01-01/, new RegExp(DAY[0]));
  await refused({ backup: DAY[0], before: '2026-11-20' }, /names one by its id/, /or/);
  await refused({}, /which source/, /source/);
});

test('[24] a storage that cannot be asked and a manifest that cannot be trusted are passed over, and said', async (context) => {
  const { choose, copies, publish, pathOf } = await repository(context);
  const newest = await publish('20261123T020000Z-ffffff');
  await rm(pathOf(0, newest));
  await writeFile(pathOf(0, newest), '{"manifest": {');
  const down = {
    backend: 'r2',
    open: () => Promise.reject(new HoldfastError('BackendUnreachable', 'r2 does not answer')),
  };
  for (const wish of [{ source: 'shop' }, { backup: newest.id }]) {
    const chosen = await choose(wish, [down, ...copies]);
    assert.equal(chosen.manifest.id, newest.id);
    assert.deepEqual(
      chosen.copies.map(({ backend }) => backend),
      ['copy-2'],
    );
    assert.deepEqual(chosen.passedOver.map(({ backend }) => backend).toSorted(), ['copy-1', 'r2']);
  }
  await assert.rejects(choose({ source: 'shop' }, [down]), (error) => isHoldfastError(error, 'BackendUnreachable'));
  await rm(pathOf(1, newest));
  await writeFile(pathOf(1, newest), '{}');
  await assert.rejects(choose({ backup: newest.id }), (error) => isHoldfastError(error, 'ManifestInvalid'));
});

test('[24] a newer backup that cannot be trusted anywhere is told apart from what is passed over', async (context) => {
  const { choose, publish, pathOf } = await repository(context);
  const newest = await publish('20261123T020000Z-ffffff');
  const oldest = await publish(DAY[0]);
  for (const index of [0, 1]) {
    for (const made of [newest, oldest]) {
      await rm(pathOf(index, made));
      await writeFile(pathOf(index, made), '{}');
    }
    const { manifest, newer } = await choose({ source: 'shop' });
    if (index === 0) assert.deepEqual([manifest.id, newer], [newest.id, []]);
  }
  const latest = await choose({ source: 'shop' });
  assert.equal(latest.manifest.id, DAY[2]);
  assert.deepEqual(
    latest.newer.map(({ backend }) => backend),
    ['copy-1', 'copy-2'],
  );
  for (const { reason } of latest.newer) assert.match(reason, /^shop\/\S+ffffff\/manifest.json cannot be trusted/);
  assert.equal(latest.passedOver.length, 4);
  assert.deepEqual((await choose({ source: 'shop', before: '2026-11-22T00:00:00Z' })).newer, []);
  assert.deepEqual((await choose({ backup: DAY[2] })).newer, []);
});

test('[23] where no manifest of a source can be trusted, that is what is said, once', async (context) => {
  const { copies } = await repository(context);
  const checkingKeys = [newBackupKeys().checking];
  await assert.rejects(chooseBackup({ wish: { source: 'shop' }, copies, checkingKeys }), (error) => {
    assert.ok(isHoldfastError(error, 'KeyMissing'), String(error));
    assert.match(error.message, /^None of the 4 backups of source shop can be used: copy-1: shop\/\S+ is signed by/);
    assert.equal(error.message.split('is signed by').length, 2);
    assert.match(error.advice ?? '', /^Add the public half/);
    return true;
  });
});

test('[24] a copy whose manifest is signed but another is not used', async (context) => {
  const { choose, publish, pathOf } = await repository(context);
  const first = await publish('20261123T020000Z-ffffff');
  await rm(pathOf(1, first));
  await publish('20261123T020000Z-ffffff', { warnings: ['another'] }, [1]);
  const chosen = await choose({ source: 'shop' });
  assert.deepEqual(
    chosen.copies.map(({ backend }) => backend),
    ['copy-1'],
  );
  assert.match(chosen.passedOver[0]?.reason ?? '', /another than the one on copy-1/);
});

test('an id that is none is answered with those of its source', async (context) => {
  const { choose } = await repository(context);
  await assert.rejects(choose({ source: 'other', backup: '2099' }), {
    message: 'There is no backup 2099',
    advice: 'Did you mean one of: 20261122T020000Z-eeeeee?',
  });
  await assert.rejects(choose({ source: 'none', backup: '2099' }), { advice: new RegExp(DAY[0]) });
  await assert.rejects(choose({ source: 'other', backup: '2026' }), { message: /^More than one backup begins/ });
});
