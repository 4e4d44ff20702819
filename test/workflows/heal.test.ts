import assert from 'node:assert/strict';
import { copyFile, readFile, rename, rm, truncate } from 'node:fs/promises';
import { before, describe, test } from 'node:test';
import { query } from '../../core/catalog/catalog.ts';
import { findBackup, listVerifications } from '../../core/catalog/read.ts';
import type { HealResult } from '../../core/heal/run.ts';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { until } from '../support/processes.ts';
import { fillSmallShop } from '../support/smallShop.ts';
import { fileOf, flipBit } from '../support/storedFiles.ts';

/** `heal` on copies that were damaged by hand on the disks of their storages. */

const scope = fileScope();
let app: Application;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  await app.startWorker();
});

const DATABASE = 'database.dump.zst.enc';
const MEDIA = 'media.tar.zst.enc';
type Place = (object: string) => string;

/** What is done to one copy. What a listing cannot see is found by a deeper look. */
const wounds: Record<string, { damage: (file: Place) => Promise<void>; depth?: string; condition: string }> = {
  'its manifest deleted': { damage: (file) => rm(file('manifest.json')), condition: 'missing' },
  'an object deleted': { damage: (file) => rm(file(MEDIA)), condition: 'damaged' },
  'an object cut short': {
    damage: async (file) => truncate(file(DATABASE), (await readFile(file(DATABASE))).length - 1),
    condition: 'damaged',
  },
  'an object emptied': { damage: (file) => truncate(file(MEDIA), 0), condition: 'damaged' },
  'two objects swapped': {
    damage: async (file) => {
      await rename(file(MEDIA), file('other'));
      await rename(file(DATABASE), file(MEDIA));
      await rename(file('other'), file(DATABASE));
    },
    condition: 'damaged',
  },
  'a bit flipped': { damage: (file) => flipBit(file(DATABASE)), depth: 'stored', condition: 'unproven' },
  'a bit of its manifest flipped': { damage: (file) => flipBit(file('manifest.json')), condition: 'damaged' },
};

describe('[16] [20] a copy with', () => {
  for (const [index, [what, { damage, depth, condition }]] of Object.entries(wounds).entries()) {
    const backend = (['near', 'local', 'far'] as const)[index % 3] ?? 'local';
    test(`${what} on ${backend} is found and healed from a good one, byte for byte`, async () => {
      const id = await backUp();
      const whole = await copyOn(backend, id);
      await damage((object) => fileOf(app, backend, id, object));
      const { code, result } = await heal(...(depth ? ['--depth', depth, '--backup', id] : []));
      assert.equal(code, 0, JSON.stringify(result));
      assert.equal(result.state, 'healed');
      const healed = result.copies.filter(({ outcome }) => outcome === 'healed');
      assert.deepEqual(
        healed.map((copy) => [copy.backup, copy.backend, copy.condition, copy.depth]),
        [[id, backend, condition, 'opened']],
      );
      const after = await copyOn(backend, id);
      assert.deepEqual([...after.keys()], [...whole.keys()]);
      for (const [key, bytes] of whole) assert.ok(after.get(key)?.equals(bytes), key);
      await expectState(id, 'verified', ['verified', 'verified', 'verified']);
      assert.equal((await heal()).result.state, 'whole', 'there is nothing left to heal');
      assert.deepEqual(await app.stores[backend].leftovers(), []);
      const verified = await app.ask('verify', id, '--no-heal');
      assert.equal(verified.code, 0, JSON.stringify(verified.document));
    });
  }
});

test('[16] what verify finds is shown as degraded, and healed without another word', async () => {
  const id = await backUp();
  await flipBit(fileOf(app, 'far', id, DATABASE));
  const first = await app.ask('verify', id, '--no-heal');
  assert.equal(first.code, 1);
  await expectState(id, 'degraded', ['damaged', 'verified', 'verified']);
  const listed = await app.holdfast('list');
  assert.match(listed.stdout, new RegExp(`${id} .*degraded .*far damaged`));

  const second = await app.ask('verify', id, '--depth', 'stored');
  assert.equal(second.code, 1, 'what was damaged is said, whatever becomes of it');
  assert.match((second.document as { heal?: string }).heal ?? '', /^heal-shop@/);
  await until('the healed copy', async () => ((await stateOf(id)).state === 'verified' ? true : undefined));
  assert.equal((await app.ask('verify', id, '--no-heal')).code, 0);
});

test('a heal by listing heals what an earlier verification noted', async () => {
  const id = await backUp();
  await flipBit(fileOf(app, 'local', id, MEDIA));
  assert.equal((await heal()).result.state, 'whole', 'a listing does not see it');
  assert.equal((await app.ask('verify', id, '--no-heal')).code, 1);
  const { code, result } = await heal();
  assert.equal(code, 0, JSON.stringify(result));
  assert.deepEqual(
    result.copies.map((copy) => [copy.backup, copy.backend, copy.outcome]),
    [[id, 'local', 'healed']],
  );
  await expectState(id, 'verified', ['verified', 'verified', 'verified']);
});

test('copies that are each damaged elsewhere heal each other', async () => {
  const id = await backUp('--backend', 'local', 'near');
  await flipBit(fileOf(app, 'local', id, DATABASE));
  await flipBit(fileOf(app, 'near', id, MEDIA));
  const { code, result } = await heal('--backup', id, '--depth', 'stored');
  assert.equal(code, 0, JSON.stringify(result));
  assert.deepEqual(new Set(result.copies.map(({ outcome }) => outcome)), new Set(['healed']));
  assert.equal((await app.ask('verify', id, '--no-heal')).code, 0);
});

test('[20] without a good copy nothing is changed, what is lost is named, and the exit code is 4', async () => {
  const id = await backUp('--backend', 'local', 'near');
  for (const backend of ['local', 'near'] as const) await flipBit(fileOf(app, backend, id, DATABASE));
  const untouched = [await copyOn('local', id), await copyOn('near', id)];
  const answer = await app.holdfast('heal', 'shop', '--backup', id, '--depth', 'stored');
  assert.equal(answer.code, 4, answer.stdout + answer.stderr);
  assert.match(answer.stderr, new RegExp(`no good copy of the part database of backup ${id}: lost on (local|near)`));
  assert.match(answer.stderr, /local: .*database\.dump\.zst\.enc/);
  assert.match(answer.stderr, /near: .*database\.dump\.zst\.enc/);
  assert.deepEqual([await copyOn('local', id), await copyOn('near', id)], untouched);
  await expectState(id, 'failed', ['damaged', 'damaged']);
  // Neither is it ever called good by who only looks at sizes.
  assert.equal((await heal('--backup', id)).code, 4);
  await expectState(id, 'failed', ['damaged', 'damaged']);
  for (const backend of ['local', 'near']) await rm(fileOf(app, backend, id, '.'), { recursive: true });
  await heal();
});

test('[16] a copy that was to help and turns out damaged is called so, also where that leaves no good copy', async () => {
  const id = await backUp('--backend', 'local', 'near');
  await flipBit(fileOf(app, 'local', id, DATABASE));
  await rm(fileOf(app, 'near', id, DATABASE));
  const answer = await app.holdfast('heal', 'shop', '--backup', id);
  assert.equal(answer.code, 4, answer.stdout + answer.stderr);
  await expectState(id, 'failed', ['damaged', 'damaged']);
  for (const backend of ['local', 'near']) await rm(fileOf(app, backend, id, '.'), { recursive: true });
  await heal();
});

test('[16] a copy that was to help and turns out damaged is healed in the same run', async () => {
  const id = await backUp('--backend', 'local', 'near', 'far');
  const whole = await copyOn('local', id);
  await flipBit(fileOf(app, 'local', id, DATABASE));
  await rm(fileOf(app, 'near', id, DATABASE));
  await heal('--backup', id);
  await until('both copies', async () => ((await stateOf(id)).state === 'verified' ? true : undefined));
  assert.deepEqual(await copyOn('local', id), whole);
  assert.deepEqual(await copyOn('near', id), whole);
});

test('[20] a backup that is gone everywhere is reported lost once, and then stands as failed', async () => {
  const id = await backUp('--backend', 'local', 'near');
  for (const backend of ['local', 'near']) await rm(fileOf(app, backend, id, '.'), { recursive: true });
  const first = await heal();
  assert.equal(first.code, 4, JSON.stringify(first.result));
  assert.deepEqual(
    first.result.lost.map(({ backup }) => backup),
    [id],
  );
  await expectState(id, 'failed', ['missing', 'missing']);
  assert.equal((await heal()).code, 0);
});

test('a backend that is named is filled with what it lacks', async () => {
  const id = await backUp('--backend', 'local');
  assert.equal((await heal('--backup', id)).result.state, 'whole', 'nobody asked for more copies');
  const { code, result } = await heal('--backup', id, '--backend', 'far');
  assert.equal(code, 0, JSON.stringify(result));
  assert.deepEqual(await copyOn('far', id), await copyOn('local', id));
  const backup = await stateOf(id);
  assert.deepEqual(
    backup.copies.map(({ backend, state }) => [backend, state]),
    [
      ['far', 'verified'],
      ['local', 'verified'],
    ],
  );
});

test('[24] a manifest of another backup in its place is replaced, and never believed', async () => {
  const [first, second] = [await backUp(), await backUp()];
  await copyFile(fileOf(app, 'near', first, 'manifest.json'), fileOf(app, 'near', second, 'manifest.json'));
  const { code, result } = await heal('--backup', second);
  assert.equal(code, 0, JSON.stringify(result));
  assert.deepEqual(await copyOn('near', second), await copyOn('local', second));
});

test('a copy between two buckets of one service is made by the service', async () => {
  const id = await backUp('--backend', 'near', 'far');
  await rm(fileOf(app, 'far', id, '.'), { recursive: true });
  const { result } = await heal('--backup', id);
  const [copy] = result.copies;
  assert.equal(copy?.outcome, 'healed');
  assert.ok((copy.bytes ?? 0) > 0);
  assert.equal(copy.serverSideBytes, copy.bytes);
  assert.deepEqual(await copyOn('far', id), await copyOn('near', id));
});

test('a service that copied what is damaged is found out, and the object comes from elsewhere', async () => {
  const id = await backUp();
  await rm(fileOf(app, 'far', id, '.'), { recursive: true });
  await flipBit(fileOf(app, 'near', id, DATABASE));
  await rm(fileOf(app, 'local', id, MEDIA));
  const { code, result } = await heal('--backup', id, '--depth', 'stored');
  assert.equal(code, 0, JSON.stringify(result));
  assert.equal((await app.ask('verify', id, '--no-heal')).code, 0);
});

test('every look is noted, and a wound once however often it is seen', async () => {
  const id = await backUp();
  await rm(fileOf(app, 'near', id, MEDIA));
  await heal('--backup', id);
  const looks = await app.useCatalog((catalog) => listVerifications(catalog, id));
  assert.deepEqual(
    looks.filter(({ backend }) => backend === 'near').map(({ depth, outcome }) => [depth, outcome]),
    [
      ['opened', 'passed'],
      ['listed', 'damaged'],
      [looks.at(-1)?.backend === 'near' ? (looks.at(-1)?.depth ?? '') : 'stored', 'passed'],
    ],
  );
});

test('a backup that was published and never recorded comes into the catalog, as its run would have had it', async () => {
  const [id, wounded, narrow] = [await backUp(), await backUp(), await backUp('--backend', 'local', 'near')];
  const recorded = await stateOf(id);
  // As where a run was terminated between its last copy and the catalog.
  await app.useCatalog((catalog) =>
    query(catalog, 'DELETE FROM holdfast.backups WHERE id = ANY ($1)', [[id, wounded, narrow]]),
  );
  await rm(fileOf(app, 'near', wounded, MEDIA));
  await rm(fileOf(app, 'far', wounded, 'manifest.json'));
  assert.equal((await app.holdfast('show', id)).code, 2);

  // A run shows in the list of running ones a moment after it began: for so long it may be one.
  const warnings: string[] = [];
  const { code, result } = await until(
    'the end of the time in which its run may live',
    async () => {
      const answer = await heal();
      warnings.push(...answer.result.warnings);
      return answer.result.warnings.some((warning) => warning.includes('Left alone')) ? undefined : answer;
    },
    60_000,
  );
  assert.equal(code, 0, JSON.stringify(result));
  for (const each of [id, wounded, narrow]) {
    assert.ok(warnings.some((warning) => warning.startsWith('Taken into the catalog') && warning.includes(each)));
  }
  await expectState(id, 'verified', ['verified', 'verified', 'verified']);
  await expectState(wounded, 'verified', ['verified', 'verified', 'verified']);
  await expectState(narrow, 'verified', ['verified', 'verified', 'verified']);
  const { kind, tier, plan, requiredCopies, startedAt, manifest, manifestSha256 } = recorded;
  const like = { kind, tier, plan, requiredCopies, startedAt, manifest, manifestSha256 };
  const found = await stateOf(id);
  assert.deepEqual({ ...found, ...like }, found);
  assert.match((await app.holdfast('list')).stdout, new RegExp(id));
  assert.equal((await app.holdfast('show', id)).code, 0);
  const part = await app.holdfast('extract', id, '--part', 'globals', '-o', '-');
  assert.equal(part.code, 0, part.stderr);
  assert.equal((await heal()).result.state, 'whole', 'nothing is looked at twice');
});

test('an unknown source, backup or backend is refused with exit code 2', async () => {
  for (const args of [
    ['shopp'],
    ['shop', '--backup', '2020'],
    ['shop', '--backend', 'lokal'],
    ['shop', '--depth', 'x'],
  ]) {
    const { code, stderr } = await app.holdfast('heal', ...args);
    assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
  }
});

async function backUp(...args: string[]): Promise<string> {
  const { code, document } = await app.backup('shop', ...args);
  assert.equal(code, 0, JSON.stringify(document));
  return document.id;
}

async function heal(...args: string[]): Promise<{ code: number | null; result: HealResult }> {
  const { code, document } = await app.ask('heal', 'shop', ...args);
  return { code, result: document as HealResult };
}

async function copyOn(backend: keyof Application['stores'], id: string): Promise<Map<string, Buffer>> {
  const all = await app.stores[backend].objects();
  return new Map([...all].filter(([key]) => key.includes(id)));
}

const stateOf = (id: string) => app.useCatalog((catalog) => findBackup(catalog, id));

async function expectState(id: string, state: string, copies: string[]): Promise<void> {
  // A heal that found more on its way than it was told of looks once more.
  const backup = await until('the end of the heal', async () => {
    const found = await stateOf(id);
    return found.copies.every(({ healingSince }) => healingSince === undefined) ? found : undefined;
  });
  assert.deepEqual([backup.state, backup.copies.map((copy) => copy.state)], [state, copies], JSON.stringify(backup));
  assert.equal(backup.problem === undefined, state === 'verified');
}
