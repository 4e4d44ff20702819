import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { chooseDrill, type ChooseDrillOptions } from '../../../core/drill/chooseDrill.ts';
import { HoldfastError, isHoldfastError } from '../../../core/errors.ts';
import type { RestoreCopy } from '../../../core/restore/run.ts';
import { openLocalBackend } from '../../../core/storage/local.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { newBackupKeys, storeBackup } from '../repository/storedBackup.ts';

const IDS = ['20261110T020000Z-aaaaaa', '20261111T020000Z-bbbbbb', '20261112T020000Z-cccccc'] as const;

/** Three backups of shop, the last of which lies on the first storage only, and one of another source. */
async function prepare(context: TestContext) {
  const keys = newBackupKeys();
  const backends = await Promise.all(
    ['near', 'far'].map(async (name) =>
      openLocalBackend(name, { type: 'local', path: await temporaryDirectory(context) }),
    ),
  );
  const parts = [{ part: 'database', format: 'pg_dump-custom', bytes: Buffer.from('rows') }] as const;
  for (const [index, id] of IDS.entries()) {
    const startedAt = `2026-11-1${index}T02:00:00.000Z`;
    await storeBackup(id === IDS[2] ? backends.slice(0, 1) : backends, keys, parts, { id, startedAt });
  }
  await storeBackup(backends, keys, parts, { id: '20261113T020000Z-dddddd', source: 'blog' });
  const copies: RestoreCopy[] = backends.map((backend) => ({ backend: backend.name, open: async () => backend }));
  const choose = (seed: number, changes: Partial<ChooseDrillOptions> = {}) =>
    chooseDrill({
      input: { source: 'shop' },
      copies,
      checkingKeys: [keys.checking],
      seed,
      isKnownBad: () => false,
      ...changes,
    });
  return { copies, choose };
}

const SEEDS = Array.from({ length: 60 }, (_, seed) => seed);

test('random draws every copy of every backup of the source, and the same again for the same seed', async (context) => {
  const { choose } = await prepare(context);
  const seen = new Set<string>();
  for (const seed of SEEDS) {
    const { manifest, backend } = await choose(seed);
    seen.add(`${manifest.id.slice(-6)} ${backend}`);
    const again = await choose(seed, { input: { source: 'shop', backup: 'random' } });
    assert.deepEqual([again.manifest.id, again.backend], [manifest.id, backend]);
  }
  assert.deepEqual([...seen].toSorted(), ['aaaaaa far', 'aaaaaa near', 'bbbbbb far', 'bbbbbb near', 'cccccc near']);
});

test('a copy that is known to be bad is left to whoever heals, unless it is the one that is asked for', async (context) => {
  const { copies, choose } = await prepare(context);
  const isKnownBad = (backup: string, backend: string) => backup !== IDS[1] || backend === 'near';
  for (const seed of SEEDS.slice(0, 10)) {
    const { manifest, backend } = await choose(seed, { isKnownBad });
    assert.deepEqual([manifest.id, backend], [IDS[1], 'far']);
    assert.equal((await choose(seed, { isKnownBad, input: { source: 'shop', backup: IDS[1] } })).backend, 'far');
  }
  const near = { input: { source: 'shop', backup: IDS[1], backend: 'near' }, copies: copies.slice(0, 1) };
  assert.equal((await choose(1, { isKnownBad, ...near })).backend, 'near');
});

test('latest is the newest, an id may be cut, and what is not there is refused with what is', async (context) => {
  const { choose } = await prepare(context);
  assert.equal((await choose(1, { input: { source: 'shop', backup: 'latest' } })).manifest.id, IDS[2]);
  assert.equal((await choose(1, { input: { source: 'shop', backup: '20261111' } })).manifest.id, IDS[1]);
  await assert.rejects(choose(1, { input: { source: 'shop', backup: '20261111T020000Z-bbbbbc' } }), (error) => {
    assert.ok(isHoldfastError(error, 'InvalidInput'));
    assert.match(error.advice ?? '', new RegExp(IDS[1]));
    return true;
  });
  await assert.rejects(choose(1, { input: { source: 'nobody' } }), /There is no backup of source nobody to try out/);
  const checkingKeys = [newBackupKeys().checking];
  await assert.rejects(choose(1, { checkingKeys }), (error) => {
    assert.ok(isHoldfastError(error, 'KeyMissing'), String(error));
    assert.match(error.message, /^None of the \d backups of source shop can be used: near: shop/);
    assert.equal(`${error.message} ${error.advice}`.split('is signed by').length, 2, 'said once');
    assert.match(error.advice ?? '', /^Add the public half/);
    return true;
  });
  await assert.rejects(choose(1, { checkingKeys: [] }), (error) => isHoldfastError(error, 'KeyMissing'));
});

test('a storage that does not answer is passed over and named; when none does, its error is the answer', async (context) => {
  const { copies, choose } = await prepare(context);
  const away: RestoreCopy = {
    backend: 'away',
    open: () => Promise.reject(new HoldfastError('BackendUnreachable', 'away does not answer')),
  };
  const { passedOver } = await choose(1, { copies: [...copies, away] });
  assert.deepEqual(passedOver, [{ backend: 'away', reason: 'away does not answer' }]);
  await assert.rejects(choose(1, { copies: [away] }), /away does not answer/);
});
