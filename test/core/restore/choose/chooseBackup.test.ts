import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { HoldfastError, isHoldfastError } from '../../../../core/errors.ts';
import { manifestKey } from '../../../../core/repository/layout.ts';
import { locationOf } from '../../../../core/repository/location.ts';
import type { Manifest } from '../../../../core/repository/manifest.ts';
import { signManifest } from '../../../../core/repository/signedManifest.ts';
import { chooseBackup } from '../../../../core/restore/choose/chooseBackup.ts';
import type { BackupIndex, BackupWish, IndexedBackup, RestoreCopy } from '../../../../core/restore/run.ts';
import { openLocalBackend } from '../../../../core/storage/local.ts';
import type { LiveRun } from '../../../../core/sweep/liveRuns.ts';
import { temporaryDirectory } from '../../../support/directories.ts';
import { sampleManifest } from '../../repository/sampleBackup.ts';
import { newBackupKeys } from '../../repository/storedBackup.ts';

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
  const choose = (wish: BackupWish, from = copies, index?: BackupIndex) =>
    chooseBackup({ wish, copies: from, checkingKeys: [keys.checking], index });
  const pathOf = (index: number, manifest: Manifest) => join(roots[index] ?? '', manifestKey(locationOf(manifest)));
  /** Parts as they lie while a run is under way, or when a manifest is lost. */
  const leaveParts = (manifest: Manifest, on = [0, 1]) =>
    Promise.all(
      on.map(async (index) => {
        const folder = dirname(pathOf(index, manifest));
        await mkdir(folder, { recursive: true });
        await writeFile(join(folder, 'database.dump.zst.enc'), 'sealed');
      }),
    );
  return { copies, choose, publish, pathOf, leaveParts };
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
  for (const before of ['1', 'now 1', '2026-11-20T02:00', '2026-11-20 02:00:00Z', '2026-02-30', '2026-11-20T25:00:00Z'])
    await refused({ source: 'shop', before }, /is no time$/, /zone/);
  for (const before of ['2026-11-20', '2026-11-20T02:00Z', '2026-11-20T02:00:00.5+01:00'])
    assert.equal((await choose({ source: 'shop', before })).manifest.id, DAY[1]);
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
    latest.newer.map((line) => line.slice(0, 8)),
    ['copy-1: ', 'copy-2: '],
  );
  for (const line of latest.newer) assert.match(line, /: shop\/\S+ffffff\/manifest.json cannot be trusted/);
  // What is told as newer is not told once more.
  assert.equal(latest.passedOver.length, 2);
  assert.deepEqual((await choose({ source: 'shop', before: '2026-11-22T00:00:00Z' })).newer, []);
  assert.deepEqual((await choose({ backup: DAY[2] })).newer, []);
});

/** An index that knows these runs, or cannot be asked; and the runs under way. */
function indexOf(backups: readonly IndexedBackup[] | undefined, live: readonly LiveRun[] = []): BackupIndex {
  return {
    begunSince: async () => {
      if (backups === undefined) throw new HoldfastError('CatalogUnavailable', 'The catalog is away');
      return backups;
    },
    liveRuns: async () => live,
  };
}

const publishedRun = (manifest: Manifest, published: readonly string[] = ['copy-1', 'copy-2']): IndexedBackup => ({
  id: manifest.id,
  tier: manifest.tier,
  state: 'verified',
  manifest,
  published,
});

test('[24] a newer backup that has parts and no manifest is told, and not that of a run under way or one that failed', async (context) => {
  const { choose, copies, publish, pathOf, leaveParts } = await repository(context);
  const newest = await publish('20261123T020000Z-ffffff');
  await leaveParts(newest);
  const wish = { source: 'shop' };
  assert.deepEqual((await choose(wish)).newer, []);
  for (const index of [0, 1]) {
    await rm(pathOf(index, newest));
    const { manifest, newer } = await choose(wish);
    if (index === 0) assert.deepEqual([manifest.id, newer], [newest.id, []], 'the other copy is whole');
  }
  const told = async (index?: BackupIndex, more: BackupWish = {}) => {
    const { manifest, newer } = await choose({ ...wish, ...more }, copies, index);
    assert.equal(manifest.id, DAY[2]);
    return newer;
  };
  assert.deepEqual(await told(), [
    `parts without a manifest on copy-1, copy-2: ${newest.id} is of a run that is under way, of one that ended before it published them, or ${newest.id} has lost its manifest`,
  ]);
  assert.match(
    (await told(indexOf([publishedRun(newest)]))).join(),
    /knows \S+ffffff \(verified\) on copy-1, copy-2, and/,
  );
  assert.match((await told(indexOf([]))).join(), /not known to the catalog: of one that ended before/);
  assert.match((await told(indexOf(undefined))).join(), /of one that ended before .*, or \S+ has lost its manifest$/);
  const failed = { ...publishedRun(newest, []), state: 'failed', manifest: undefined };
  assert.deepEqual(await told(indexOf([failed])), []);
  for (const live of [
    { run: 'backup-shop', source: 'shop', backup: newest.id },
    { run: 'just begun', startedAt: new Date('2026-11-23T02:00:00.500Z') },
    { run: 'begins again', source: 'shop', backup: 'another', startedAt: new Date('2026-11-23T01:00:00Z') },
  ])
    assert.deepEqual(await told(indexOf([], [live])), [], live.run);
  for (const live of [
    { run: 'heal', source: 'shop', startedAt: new Date('2026-11-23T01:00:00Z') },
    { run: 'later', source: 'shop', backup: 'another', startedAt: new Date('2026-11-23T03:00:00Z') },
    { run: 'of another', source: 'other', backup: 'another', startedAt: new Date('2026-11-23T01:00:00Z') },
  ])
    assert.equal((await told(indexOf([], [live]))).length, 1, live.run);
  assert.deepEqual(await told(undefined, { before: '2026-11-22T00:00:00Z' }), []);
  assert.deepEqual(await told(indexOf([publishedRun(newest)]), { before: '2026-11-23T02:10:00Z' }), [], 'sealed later');
});

test('[24] a newer backup that the index knows and no storage has is told', async (context) => {
  const { choose, copies, publish, pathOf } = await repository(context);
  const newest = await publish('20261123T020000Z-ffffff');
  const index = indexOf([publishedRun(newest)]);
  assert.deepEqual((await choose({ source: 'shop' }, copies, index)).newer, []);
  for (const each of [0, 1]) await rm(dirname(pathOf(each, newest)), { recursive: true });
  const told = async (wish: BackupWish, known: BackupIndex) => (await choose(wish, copies, known)).newer;
  const line = `the catalog knows ${newest.id} (verified) on copy-1, copy-2, and it is not there`;
  assert.deepEqual(await told({ source: 'shop' }, index), [line]);
  assert.deepEqual(await told({ source: 'shop', before: '2026-11-24T00:00:00Z' }, index), [line]);
  assert.deepEqual(await told({ source: 'shop', before: '2026-11-23T02:10:00Z' }, index), []);
  assert.deepEqual(await told({ backup: DAY[2] }, index), []);
  const others = [
    publishedRun({ ...newest, tier: 'pre-restore' }),
    publishedRun({ ...newest, parts: newest.parts.filter(({ part }) => part !== 'database') }),
    { ...publishedRun(newest, []), state: 'failed' },
  ];
  assert.deepEqual(await told({ source: 'shop', parts: ['database'] }, indexOf(others)), []);
  assert.match(
    (await told({ source: 'shop' }, indexOf([publishedRun(newest, ['gone'])]))).join(),
    /on gone, which was not/,
  );
  const away = await choose({ source: 'shop' }, copies, indexOf(undefined));
  assert.deepEqual([away.newer, away.indexSilent], [[], 'The catalog is away']);
});

test('[24] a storage that cannot be asked may have a newer backup: told unless the index knows better', async (context) => {
  const { choose, copies, publish } = await repository(context);
  const newest = await publish('20261123T020000Z-ffffff', {}, []);
  const down = {
    backend: 'r2',
    open: () => Promise.reject(new HoldfastError('BackendUnreachable', 'r2 does not answer')),
  };
  const told = async (index?: BackupIndex) => (await choose({ source: 'shop' }, [down, ...copies], index)).newer;
  assert.deepEqual(await told(), ['whether r2 has a newer one is not known. It cannot be asked: r2 does not answer']);
  assert.deepEqual(await told(indexOf(undefined)), [
    'whether r2 has a newer one is not known. It cannot be asked: r2 does not answer, and neither can the catalog: The catalog is away',
  ]);
  assert.deepEqual(await told(indexOf([])), []);
  assert.deepEqual(await told(indexOf([publishedRun(newest, ['r2'])])), [
    `the catalog knows ${newest.id} (verified) on r2, and r2 cannot be asked: r2 does not answer`,
  ]);
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

test('[24] where every copy of the backup that is named is bad, each is told with its reason', async (context) => {
  const { choose, publish, pathOf, copies } = await repository(context);
  const { id } = await publish(DAY[1]);
  const manifest = await publish(DAY[0]);
  await rm(pathOf(0, manifest));
  await writeFile(pathOf(0, manifest), '{}');
  const [other] = copies;
  assert.ok(other);
  await rm(pathOf(1, manifest));
  await assert.rejects(choose({ backup: DAY[0] }), (error) => {
    assert.ok(isHoldfastError(error, 'ManifestInvalid'), String(error));
    assert.match(
      error.message,
      /^No copy of backup 20261118\S+ can be used: copy-1: shop\S+ .*; copy-2: there is no shop\S+$/,
    );
    assert.equal(error.advice, 'Choose another backup: `holdfast list` shows them.');
    return true;
  });
  await rm(dirname(pathOf(1, manifest)), { recursive: true });
  await assert.rejects(choose({ backup: DAY[0] }), { message: /; copy-2: it has none$/ });
  await assert.rejects(choose({ backup: DAY[0] }, [other]), { message: /^copy-1: shop\S+ cannot be trusted/ });
  assert.equal((await choose({ backup: id })).passedOver.length, 0);
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
