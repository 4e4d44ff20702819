import assert from 'node:assert/strict';
import promises from 'node:fs/promises';
import { mkdir, readFile, rename, symlink } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename, join } from 'node:path';
import { before, describe, test, type TestContext } from 'node:test';
import type { TarProgram } from '../../../core/files/tarProgram.ts';
import { dropTreeLeftOvers, placeTree, takeBackTree } from '../../../core/restore/placeTree.ts';
import { restoreTree } from '../../../core/restore/restoreTree.ts';
import { stagingOf } from '../../../core/restore/stagingDirectory.ts';
import type { TreePlace } from '../../../core/restore/trees.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { requiredTar, shell } from '../files/trees.ts';
import { backUpTree, placeOf } from './treeSupport.ts';

/*
 * Whoever owns a tree may put a symbolic link for one of its directories, or for one above it, at any instant of a restore,
 * which often runs as root. Here that instant is right before a call.
 */

let tar: TarProgram;
before(async () => {
  tar = await requiredTar();
});

/** `home/app/media`, restored into its staging directory, and a directory of somebody else's with the same names in it. */
async function scene(context: TestContext, other: Partial<TreePlace> = {}) {
  const home = await temporaryDirectory(context);
  const path = join(home, 'app/media');
  const victim = join(home, 'victim');
  await mkdir(path, { recursive: true });
  shell(path, 'mkdir -p a/b a/new; echo then > a/b/one; echo then > a/new/two');
  const backup = await backUpTree(context, path, { tar });
  shell(path, 'echo now > a/b/one; rm -r a/new');
  await mkdir(victim);
  shell(
    victim,
    'for each in one b/one media/a/b/one tree/a/b/one; do mkdir -p $(dirname $each); echo mine > $each; done',
  );
  const place = placeOf(path, other);
  await restoreTree({ ...backup, tar, place });
  const listing = () => shell(victim, "find . -printf '%p %m %U %i\\n' | LC_ALL=C sort; cat one b/one media/a/b/one");
  const untouched = listing();
  return { home, path, place, backup, victim, assertUntouched: () => assert.equal(listing(), untouched) };
}

type Call = (...args: unknown[]) => Promise<unknown>;

/** Does a step, and something else right before its first call of this name that `which` is true of. */
async function swapBefore<Result>(
  name: 'rename' | 'link' | 'mkdir' | 'unlink' | 'rmdir',
  which: (from: string | undefined, to: string | undefined) => boolean,
  swap: () => Promise<unknown>,
  step: () => Promise<Result>,
): Promise<Result> {
  const real = promises[name] as Call;
  let swapped = false;
  const put = (call: Call) => {
    Object.assign(promises, { [name]: call });
    syncBuiltinESMExports();
  };
  put(async (...args) => {
    if (!swapped && which(basename(String(args[0])), basename(String(args[1])))) {
      swapped = true;
      put(real);
      await swap();
    }
    return real(...args);
  });
  try {
    return await step();
  } finally {
    put(real);
    assert.ok(swapped, 'the instant came');
  }
}

/** What is renamed gets this name. */
function becomes(name: string) {
  return (_from: string | undefined, to: string | undefined) => to === name;
}

async function linkInstead(directory: string, target: string): Promise<void> {
  await rename(directory, `${directory}-moved`);
  await symlink(target, directory);
}

const LINKED = { type: 'RefusedForSafety', message: /is a symbolic link or reached through one/ };

describe('[28] a directory that becomes a link in the middle leads nowhere', () => {
  for (const [call, which] of [
    ['link', (from: string | undefined) => from === 'one'],
    ['rename', becomes('one')],
  ] as const)
    test(`the one of a single file, at its ${call}`, async (context) => {
      const { path, place, victim, assertUntouched } = await scene(context, { paths: ['a/b/one'] });
      const directory = join(path, 'a/b');
      const swap = () => linkInstead(directory, victim);
      await assert.rejects(
        swapBefore(call, which, swap, () => placeTree(place)),
        LINKED,
      );
      assertUntouched();
      // It came to where its directory is now.
      assert.equal(await readFile(`${directory}-moved/one`, 'utf8'), 'then\n');
      for (const step of [placeTree, takeBackTree, dropTreeLeftOvers]) await assert.rejects(step(place), LINKED);
      assertUntouched();
      await promises.unlink(directory);
      await rename(`${directory}-moved`, directory);
      await dropTreeLeftOvers(place);
      assert.equal(await readFile(join(directory, 'one'), 'utf8'), 'now\n');
    });

  test('one above it', async (context) => {
    const { path, place, victim, assertUntouched } = await scene(context, { paths: ['a/b/one'] });
    const swap = () => linkInstead(join(path, 'a'), victim);
    await assert.rejects(
      swapBefore('rename', becomes('one'), swap, () => placeTree(place)),
      LINKED,
    );
    assertUntouched();
    assert.equal(await readFile(join(path, 'a-moved/b/one'), 'utf8'), 'then\n');
  });

  test('one in which another has to be made', async (context) => {
    const { path, place, victim, assertUntouched } = await scene(context, { paths: ['a/new/two'] });
    const swap = () => linkInstead(join(path, 'a'), victim);
    await assert.rejects(
      swapBefore(
        'mkdir',
        (name) => name === 'new',
        swap,
        () => placeTree(place),
      ),
      LINKED,
    );
    assertUntouched();
  });

  test('the one that holds the whole tree', async (context) => {
    const { home, place, victim, assertUntouched } = await scene(context);
    const app = join(home, 'app');
    await swapBefore(
      'rename',
      becomes('media'),
      () => linkInstead(app, victim),
      () => placeTree(place),
    );
    assertUntouched();
    assert.equal(await readFile(`${app}-moved/media/a/b/one`, 'utf8'), 'then\n');
    assert.equal(await readFile(`${app}-moved/media_before_r1/a/b/one`, 'utf8'), 'now\n');
  });

  test('the staging directory itself', async (context) => {
    const { path, place, victim, assertUntouched } = await scene(context);
    const { directory } = await stagingOf(place);
    await swapBefore(
      'rename',
      becomes('media'),
      () => linkInstead(directory, victim),
      () => placeTree(place),
    );
    assertUntouched();
    assert.equal(await readFile(join(path, 'a/b/one'), 'utf8'), 'then\n');
  });

  for (const program of ['GNU tar', 'node-tar'] as const)
    test(`the staging directory, before ${program} begins`, async (context) => {
      const { path, backup, victim, assertUntouched } = await scene(context);
      const place = placeOf(path, { id: 'r2', mark: 'test/2' });
      const { directory } = await stagingOf(place);
      const copies = backup.copies.map(({ backend, open }) => ({
        backend,
        open: async () => {
          await linkInstead(directory, victim);
          return open();
        },
      }));
      await restoreTree({ ...backup, copies, tar: program === 'GNU tar' ? tar : undefined, place });
      assertUntouched();
      assert.equal(await readFile(`${directory}-moved/tree/a/b/one`, 'utf8'), 'then\n');
      await assert.rejects(placeTree(place), { type: 'RefusedForSafety' });
      assertUntouched();
    });

  test('while it is taken back', async (context) => {
    const { home, place, victim, assertUntouched } = await scene(context);
    await placeTree(place);
    const app = join(home, 'app');
    await swapBefore(
      'rename',
      becomes('media'),
      () => linkInstead(app, victim),
      () => takeBackTree(place),
    );
    assertUntouched();
    assert.equal(await readFile(`${app}-moved/media/a/b/one`, 'utf8'), 'now\n');
  });
});
