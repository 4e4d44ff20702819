import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import promises from 'node:fs/promises';
import { mkdir, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename, join } from 'node:path';
import { before, describe, test, type TestContext } from 'node:test';
import type { TarProgram } from '../../../../core/files/tarProgram.ts';
import { dropTreeLeftOvers, placeTree, takeBackTree } from '../../../../core/restore/trees/placeTree.ts';
import { restoreTree } from '../../../../core/restore/trees/restoreTree.ts';
import { stagingOf } from '../../../../core/restore/trees/stagingDirectory.ts';
import type { TreePlace } from '../../../../core/restore/trees/trees.ts';
import { temporaryDirectory } from '../../../support/directories.ts';
import { requiredTar, shell } from '../../files/trees.ts';
import { adopt, backUpTree, placeOf } from './treeSupport.ts';

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

const MOVED = { type: 'RefusedForSafety', message: /moved away while/ };
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
      await takeBackTree(place);
      await dropTreeLeftOvers(place);
      assertUntouched();
      assert.equal(shell(`${directory}-moved`, 'ls -A; cat one'), 'one\nnow\n');
      assert.deepEqual(await readdir(path), ['a']);
    });

  test('one above it', async (context) => {
    const { path, place, victim, assertUntouched } = await scene(context, { paths: ['a/b/one'] });
    const swap = () => linkInstead(join(path, 'a'), victim);
    await assert.rejects(
      swapBefore('rename', becomes('one'), swap, () => placeTree(place)),
      LINKED,
    );
    assertUntouched();
    assert.equal(shell(join(path, 'a-moved/b'), 'ls -A; cat one'), 'one\nnow\n');
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
    await dropTreeLeftOvers(place);
    assertUntouched();
    assert.deepEqual((await readdir(path)).toSorted(), ['a', 'a-moved']);
  });

  test('the one that holds the whole tree', async (context) => {
    const { home, place, victim, assertUntouched } = await scene(context);
    const app = join(home, 'app');
    await assert.rejects(
      swapBefore(
        'rename',
        becomes('media'),
        () => linkInstead(app, victim),
        () => placeTree(place),
      ),
      MOVED,
    );
    assertUntouched();
    assert.equal(await readFile(`${app}-moved/media/a/b/one`, 'utf8'), 'now\n');
    assert.deepEqual(
      (await readdir(`${app}-moved`)).filter((name) => name.includes('_')),
      [],
    );
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

/** What the owner of the tree does at an instant of his choice, and undoes afterwards. */
const SWAPS: Readonly<Record<string, { readonly paths?: string[]; readonly swap: string; readonly undo: string }>> = {
  'puts a link for the directory of a file': {
    paths: ['a/b/one'],
    swap: 'cd media/a; mv b b.real; ln -s "$VICTIM" b',
    undo: 'cd media/a; rm b; mv b.real b',
  },
  'puts another directory for that of a file': {
    paths: ['a/b/one'],
    swap: 'cd media/a; mv b b.real; mkdir b; echo other > b/one',
    undo: 'cd media/a; rm -r b; mv b.real b',
  },
  'puts a link for the directory that holds the tree': {
    swap: 'cd ..; mv app app.real; ln -s "$VICTIM" app',
    undo: 'cd ..; rm app; mv app.real app',
  },
};

describe('[28] whoever owns a tree and acts right before any call of its restore', () => {
  const isRoot = process.getuid?.() === 0;
  for (const [what, { paths, swap, undo }] of Object.entries(SWAPS))
    test(`${what}: reaches nobody else's files, and no result says what is not so`, async (context) => {
      const { home, place, victim, assertUntouched } = await scene(context, { paths });
      const app = join(home, 'app');
      if (isRoot)
        shell(
          home,
          'chmod 711 .; chown 33 .; chown -h 33 app; find app/media -path "*/.holdfast-restoring-*" -prune -o -exec chown -h 33 {} +',
        );
      const saved = await temporaryDirectory(context);
      shell(home, `cp -a app "${saved}"`);
      const asOwner = (script: string) =>
        execFileSync('sh', ['-euc', script], {
          cwd: app,
          env: { ...process.env, VICTIM: victim },
          ...(isRoot && { uid: 33, gid: 33 }),
        });
      let refused = 0;
      for (let count = 1; ; count += 1) {
        let was = '';
        const { reached, error } = await actBeforeCall(
          count,
          () => placeTree(place),
          async () => {
            was = await readFile(join(app, 'media/a/b/one'), 'utf8').catch(() => 'gone');
            asOwner(swap);
          },
        );
        assertUntouched();
        if (!reached) break;
        const is = await readFile(join(app, 'media/a/b/one'), 'utf8').catch(() => 'gone');
        // What was done to it afterwards is the owner's own.
        if (error === undefined) assert.ok([was, is].includes('then\n'), `before call ${count}: ${was}, ${is}`);
        else refused += 1;
        await takeBackTree(place).catch(() => undefined);
        await dropTreeLeftOvers(place).catch(() => undefined);
        assertUntouched();
        execFileSync('sh', ['-euc', undo], { cwd: swap.startsWith('cd ..') ? victim : app });
        await dropTreeLeftOvers(place);
        const now = error === undefined && is !== 'then\n' ? 'then\n' : 'now\n';
        assert.equal(await readFile(join(app, 'media/a/b/one'), 'utf8'), now, `before call ${count}`);
        const names = shell(app, "find . -name '.holdfast*' -o -name '*_meanwhile_*'");
        assert.equal(names, '', `before call ${count}`);
        await rm(app, { recursive: true });
        shell(home, `cp -a "${saved}/app" .`);
        await adopt(place);
      }
      assert.ok(refused > 5, `${refused} were refused`);
    });
});

/** Does a step, and something else right before its call of that number, whatever the call does. */
async function actBeforeCall(count: number, step: () => Promise<unknown>, act: () => Promise<void>) {
  const names = [
    'rename',
    'link',
    'mkdir',
    'unlink',
    'rmdir',
    'open',
    'lstat',
    'stat',
    'readFile',
    'readlink',
  ] as const;
  const real = names.map((name) => [name, promises[name] as Call] as const);
  let calls = 0;
  let reached = false;
  for (const [name, call] of real)
    Object.assign(promises, {
      [name]: async (...args: unknown[]) => {
        calls += 1;
        if (calls === count) {
          for (const [each, original] of real) Object.assign(promises, { [each]: original });
          syncBuiltinESMExports();
          reached = true;
          await act();
        }
        return call(...args);
      },
    });
  syncBuiltinESMExports();
  try {
    await step();
    return { reached, error: undefined };
  } catch (error) {
    return { reached, error };
  } finally {
    for (const [name, call] of real) Object.assign(promises, { [name]: call });
    syncBuiltinESMExports();
  }
}
