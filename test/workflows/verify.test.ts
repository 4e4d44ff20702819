import assert from 'node:assert/strict';
import { copyFile, open, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { findBackup, listVerifications } from '../../core/catalog/read.ts';
import type { VerifyResult } from '../../core/verification/run.ts';
import { testServersFromEnvironment } from '../support/addresses.ts';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { assertInputRefused } from '../support/refusedInput.ts';
import { fillSmallShop } from '../support/smallShop.ts';

/** `verify` on copies that were damaged by hand on the disks of their storages. */

const scope = fileScope();
let app: Application;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  await app.startWorker();
});

test('good copies pass at both depths, on all backends or one, and the catalog hears of it', async () => {
  const id = await backUp();
  const opened = await verify(id.slice(0, -3));
  assert.equal(opened.code, 0, JSON.stringify(opened.result));
  assert.deepEqual(
    opened.result.copies.map(({ backend, depth, outcome }) => [backend, depth, outcome]),
    ['far', 'local', 'near'].map((backend) => [backend, 'opened', 'passed']),
  );
  const one = await verify(id, '--depth', 'stored', '--backend', 'near');
  assert.equal(one.code, 0);
  assert.deepEqual(
    one.result.copies.map(({ backend, depth }) => [backend, depth]),
    [['near', 'stored']],
  );
  const looks = await app.useCatalog((catalog) => listVerifications(catalog, id));
  assert.equal(looks.length, 3 + 3 + 1);
});

type Damage = (file: (object: string) => string) => Promise<string>;

/** What is done to one copy; each gives the name of the object that the verdict has to name. */
const damages: Record<string, Damage> = {
  'a bit flipped': async (file) => {
    const handle = await open(file(DATABASE), 'r+');
    const { size } = await handle.stat();
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, Math.floor(size / 2));
    byte[0] = (byte[0] ?? 0) ^ 1;
    await handle.write(byte, 0, 1, Math.floor(size / 2));
    await handle.close();
    return DATABASE;
  },
  'a byte cut': async (file) => {
    await truncate(file(MEDIA), (await readFile(file(MEDIA))).length - 1);
    return MEDIA;
  },
  'a byte more': async (file) => {
    await writeFile(file(MEDIA), '\0', { flag: 'a' });
    return MEDIA;
  },
  'an empty object': async (file) => {
    await truncate(file(DATABASE), 0);
    return DATABASE;
  },
  'two objects swapped': async (file) => {
    await rename(file(MEDIA), file('other'));
    await rename(file(DATABASE), file(MEDIA));
    await rename(file('other'), file(DATABASE));
    return DATABASE;
  },
  'an object missing': async (file) => {
    await rm(file(MEDIA));
    return MEDIA;
  },
  'the manifest edited': async (file) => {
    const text = await readFile(file('manifest.json'), 'utf8');
    const edited = text.replace('"kind":"full"', '"kind":"logs"');
    assert.notEqual(edited, text);
    await writeFile(file('manifest.json'), edited);
    return 'manifest.json';
  },
  'the manifest missing': async (file) => {
    await rm(file('manifest.json'));
    return 'manifest.json';
  },
};

const DATABASE = 'database.dump.zst.enc';
const MEDIA = 'media.tar.zst.enc';

describe('[16] [20] [24] a copy with', { concurrency: 2 }, () => {
  for (const [index, [what, damage]] of Object.entries(damages).entries()) {
    const backend = (['near', 'local', 'far'] as const)[index % 3] ?? 'local';
    test(`${what} on ${backend}: the verdict names object and backend, the other copies pass, exit code 1`, async () => {
      const id = await backUp();
      const object = await damage((name) => fileOf(backend, id, name));
      // Either depth has to see all of it.
      const { code, result } = await verify(id, '--depth', index % 2 === 0 ? 'stored' : 'opened');
      assert.equal(code, 1, JSON.stringify(result));
      assert.equal(result.passed, false);
      for (const copy of result.copies) {
        assert.equal(copy.outcome === 'passed', copy.backend !== backend, `${copy.backend} ${copy.outcome}`);
        for (const problem of copy.problems) assert.ok(problem.includes(backend), problem);
      }
      const problems = result.copies.flatMap((copy) => copy.problems);
      assert.ok(
        problems.some((problem) => problem.includes(object)),
        problems.join('\n'),
      );
      assert.match(result.error?.message ?? '', new RegExp(object.replaceAll('.', '\\.')));
      const cataloged = await app.useCatalog((catalog) => findBackup(catalog, id));
      const copy = cataloged.copies.find((each) => each.backend === backend);
      assert.equal(copy?.state, object === 'manifest.json' && what.endsWith('missing') ? 'missing' : 'damaged');
      assert.equal(cataloged.state, 'degraded');
    });
  }
});

test('[24] a part of another backup in its place is found, though it is sealed with the same key', async () => {
  const [first, second] = [await backUp(), await backUp()];
  await copyFile(fileOf('local', first, DATABASE), fileOf('local', second, DATABASE));
  const { code, result } = await verify(second, '--backend', 'local');
  assert.equal(code, 1);
  assert.match(result.copies[0]?.problems[0] ?? '', /database\.dump\.zst\.enc/);
});

test("[24] another backup's whole manifest in its place is refused", async () => {
  const [first, second] = [await backUp(), await backUp()];
  await copyFile(fileOf('near', first, 'manifest.json'), fileOf('near', second, 'manifest.json'));
  const { code, result } = await verify(second);
  assert.equal(code, 1);
  assert.deepEqual(
    result.copies.map(({ backend, outcome }) => [backend, outcome]),
    [
      ['far', 'passed'],
      ['local', 'passed'],
      ['near', 'damaged'],
    ],
  );
});

test('an unknown backup or backend is refused with exit code 2, and typed by hand with InvalidInput', async () => {
  const unknown = await app.holdfast('verify', '20200101T000000Z-nosuch');
  assert.equal(unknown.code, 2, unknown.stderr);
  assert.match(unknown.stderr, /20200101T000000Z-nosuch/);
  assert.equal((await app.holdfast('verify', 'x', '--backend', 'lokal')).code, 2);
  for (const args of [
    [],
    ['x'],
    [{ backup: 'x', dept: 'stored' }],
    [{ backup: 'x', depth: 'deep' }],
    [{ backup: 'x' }],
  ]) {
    await assertInputRefused(app, 'verify', args, /A right input is \{"backup"/);
  }
});

async function backUp(): Promise<string> {
  const { code, document } = await app.backup('shop');
  assert.equal(code, 0);
  return document.id;
}

async function verify(...args: string[]) {
  // What they find has to stay as it is until it was looked at.
  const { code, document } = await app.ask('verify', ...args, '--no-heal');
  return { code, result: document as VerifyResult & { error?: { message: string } } };
}

/** Where an object lies: the S3 server keeps them as files, too. */
function fileOf(backend: keyof Application['stores'], id: string, object: string): string {
  const settings = app.settings.backends[backend];
  const { directory } = testServersFromEnvironment().s3;
  const root = settings?.type === 'local' ? settings.path : join(directory, 'buckets', settings?.bucket ?? '');
  return join(root, 'shop', 'manual', id, object);
}
