import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import promises from 'node:fs/promises';
import { access, mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { before, describe, test, type TestContext } from 'node:test';
import type { TarProgram } from '../../../../core/files/tarProgram.ts';
import { dropTreeLeftOvers, placeTree, takeBackTree } from '../../../../core/restore/trees/placeTree.ts';
import { restoreTree } from '../../../../core/restore/trees/restoreTree.ts';
import type { TreePlace } from '../../../../core/restore/trees/trees.ts';
import { temporaryDirectory, type Scope } from '../../../support/directories.ts';
import { lastFirst, mountSmallDisk, noMounts } from '../../../support/smallDisk.ts';
import { fingerprint, requiredTar, shell } from '../../files/trees.ts';
import { adopt, backUpTree, placeOf } from './treeSupport.ts';

let tar: TarProgram;
before(async () => {
  tar = await requiredTar();
});

interface Scene {
  readonly path: string;
  readonly place: TreePlace;
  /** What the tree was when it was backed up, and what it is now. */
  readonly past: string;
  readonly now: string;
}

/** A tree that was backed up, was changed since, and is restored into its staging directory. */
async function restoredScene(context: Scope, other: Partial<TreePlace> = {}): Promise<Scene> {
  const path = join(await temporaryDirectory(context), 'media');
  await mkdir(path);
  shell(path, 'mkdir -p a/b; chmod 750 a; echo then > a/b/one; echo then > two; mkdir gone; echo then > gone/three');
  const past = fingerprint(path);
  const backup = await backUpTree(context, path, { tar });
  shell(path, 'echo now > a/b/one; echo now > two; echo now > new; rm -r gone');
  const place = placeOf(path, other);
  await restoreTree({ ...backup, tar, place });
  return { path, place, past, now: fingerprint(path) };
}

async function beside(path: string): Promise<string[]> {
  return (await readdir(dirname(path))).toSorted();
}

test('a tree in place keeps what was there, says how to go back, and the commands do so', async (context) => {
  const { path, place, past, now } = await restoredScene(context);
  const placed = await placeTree(place);
  assert.equal(fingerprint(path), past);
  assert.equal(fingerprint(`${path}_before_r1`), now);
  assert.deepEqual(placed, {
    tree: 'media',
    targets: [path],
    keptAs: [`${path}_before_r1`],
    meanwhile: [],
    goBack: [`mv -T -n -- ${path} ${path}_undone_r1`, `mv -T -n -- ${path}_before_r1 ${path}`],
    dropKept: [`rm -rf --one-file-system -- ${path}_before_r1`],
  });
  assert.deepEqual(await placeTree(place), placed);
  await dropTreeLeftOvers(place);
  assert.deepEqual(await beside(path), ['media', 'media_before_r1']);
  for (const command of placed.goBack) execFileSync('sh', ['-c', command]);
  assert.equal(fingerprint(path), now);
});

for (const paths of [undefined, ['two']])
  test(`going back a second time changes nothing: ${paths?.join() ?? 'the whole tree'}`, async (context) => {
    const { path, place } = await restoredScene(context, { paths });
    const { goBack } = await placeTree(place);
    await dropTreeLeftOvers(place);
    execFileSync('sh', ['-ec', goBack.join('\n')]);
    const gone = listing(dirname(path));
    // As pasted into a shell, which goes on after a line that fails.
    spawnSync('sh', ['-c', goBack.join('\n')]);
    assert.equal(listing(dirname(path)), gone);
    assert.equal(await readFile(join(path, 'two'), 'utf8'), 'now\n');
  });

test('[27] what an application wrote into what is taken back is kept beside it', async (context) => {
  const { path, place, now } = await restoredScene(context);
  await placeTree(place);
  await writeFile(join(path, 'upload'), 'fresh');
  const taken = await takeBackTree(place);
  const aside = `${path}_undone_r1`;
  assert.deepEqual(taken, { tree: 'media', setAsideAs: [aside], drop: [`rm -rf --one-file-system -- ${aside}`] });
  assert.deepEqual(await takeBackTree(place), taken, 'whose answer was lost, asks again');
  await dropTreeLeftOvers(place);
  assert.equal(fingerprint(path), now);
  assert.equal(await readFile(join(aside, 'upload'), 'utf8'), 'fresh');
  assert.deepEqual(await beside(path), ['media', 'media_undone_r1']);
  execFileSync('sh', ['-c', taken.drop.join('\n')]);
  assert.deepEqual(await beside(path), ['media']);
});

test('[27] so are single paths, written into or anew', async (context) => {
  const { path, place } = await restoredScene(context, { paths: ['a/b/one', 'gone', 'two'] });
  await placeTree(place);
  shell(path, 'echo added >> a/b/one; echo anew > .two; mv .two two; echo fresh > gone/upload');
  const { setAsideAs } = await takeBackTree(place);
  await dropTreeLeftOvers(place);
  assert.deepEqual(
    setAsideAs.map((each) => each.slice(path.length)),
    ['/a/b/one_undone_r1', '/gone_undone_r1', '/two_undone_r1'],
  );
  assert.equal(shell(path, 'cat a/b/one two; ls'), 'now\nnow\na\ngone_undone_r1\nnew\ntwo\ntwo_undone_r1\n');
  assert.equal(shell(path, 'cat a/b/one_undone_r1 two_undone_r1 gone_undone_r1/upload'), 'then\nadded\nanew\nfresh\n');
});

test('names too long for an ending are cut, and stay apart', async (context) => {
  const path = join(await temporaryDirectory(context), 'm'.repeat(255));
  // As many bytes as a name may have, of characters of two bytes, that differ at their end.
  const [one, two] = ['a', 'b'].map((end) => `${'é'.repeat(127)}${end}`) as [string, string];
  await mkdir(path);
  for (const name of [one, two]) await writeFile(join(path, name), 'then');
  const backup = await backUpTree(context, path, { tar });
  for (const name of [one, two]) await writeFile(join(path, name), `now ${name}`);
  const files = placeOf(path, { id: '20261120_020000_7f3k9q', paths: [one, two] });
  const tree = placeOf(path, { id: '20261120_020000_8g4k9q', mark: 'test/2' });
  for (const place of [files, tree]) {
    await restoreTree({ ...backup, tar, place });
    const { keptAs, goBack } = await placeTree(place);
    await dropTreeLeftOvers(place);
    for (const kept of keptAs)
      assert.ok(Buffer.byteLength(basename(kept)) <= 255 && kept.endsWith(`_before_${place.id}`));
    assert.equal(await readFile(join(path, one), 'utf8'), 'then');
    execFileSync('sh', ['-ec', goBack.join('\n')]);
    for (const name of [one, two]) assert.equal(await readFile(join(path, name), 'utf8'), `now ${name}`);
  }
});

test('what is kept is removed without what is mounted in it', { skip: noMounts }, async (context) => {
  const scope = lastFirst(context);
  const { path, place } = await restoredScene(scope);
  const disk = join(path, 'disk');
  await mkdir(disk);
  mountSmallDisk(scope, disk, 4);
  // It is unmounted where it was mounted.
  scope.after(async () => void execFileSync('sh', ['-ec', `rm -r ${path}; mv ${path}_before_r1 ${path}`]));
  await writeFile(join(disk, 'precious'), 'mine');
  const placed = await placeTree(place);
  await dropTreeLeftOvers(place);
  // It says that it left something.
  assert.throws(() => execFileSync('sh', ['-c', placed.dropKept.join('\n')], { stdio: 'pipe' }));
  assert.deepEqual(await readdir(`${path}_before_r1`), ['disk']);
  assert.equal(await readFile(join(`${path}_before_r1`, 'disk/precious'), 'utf8'), 'mine');
});

test('a tree beside what is there touches nothing of it', async (context) => {
  const { path, place, past, now } = await restoredScene(context, { mode: 'beside' });
  const placed = await placeTree(place);
  await dropTreeLeftOvers(place);
  assert.deepEqual([placed.targets, placed.keptAs, placed.goBack], [[`${path}_restored_r1`], [], []]);
  assert.equal(fingerprint(`${path}_restored_r1`), past);
  assert.equal(fingerprint(path), now);
  assert.deepEqual(await beside(path), ['media', 'media_restored_r1']);
});

test('single paths in place keep their old selves beside them, and all else stays', async (context) => {
  const { path, place } = await restoredScene(context, { paths: ['a/b/one', 'gone/three', 'two'] });
  const placed = await placeTree(place);
  await dropTreeLeftOvers(place);
  assert.deepEqual(
    placed.keptAs.map((each) => each.slice(path.length)),
    ['/a/b/one_before_r1', '/two_before_r1'],
  );
  const contents = shell(path, 'grep -r . . | LC_ALL=C sort').trim().split('\n');
  assert.deepEqual(contents, [
    './a/b/one:then',
    './a/b/one_before_r1:now',
    './gone/three:then',
    './new:now',
    './two:then',
    './two_before_r1:now',
  ]);
  assert.deepEqual((await readdir(path)).toSorted(), ['a', 'gone', 'new', 'two', 'two_before_r1']);
});

test('a tree that is lost altogether comes back where it was, also through a symbolic link', async (context) => {
  const { path, place, past } = await restoredScene(context);
  await rm(path, { recursive: true });
  const placed = await placeTree(place);
  assert.deepEqual([placed.keptAs, placed.goBack], [[], []]);
  assert.equal(fingerprint(path), past);
  await takeBackTree(place);
  assert.deepEqual(
    (await beside(path)).filter((name) => !name.startsWith('.')),
    ['media_undone_r1'],
  );

  const releases = await temporaryDirectory(context);
  const link = join(releases, 'current');
  await mkdir(join(releases, '7'));
  await symlink('7', link);
  await writeFile(join(link, 'f'), 'then');
  const backup = await backUpTree(context, link, { tar });
  await writeFile(join(link, 'f'), 'now');
  const linked = placeOf(link);
  await restoreTree({ ...backup, tar, place: linked });
  await placeTree(linked);
  await dropTreeLeftOvers(linked);
  assert.equal(await readlink(link), '7');
  assert.equal(await readFile(join(link, 'f'), 'utf8'), 'then');
  assert.deepEqual((await readdir(releases)).toSorted(), ['7', '7_before_r1', 'current']);
});

test('[26] what stands in the way is left alone', async (context) => {
  const kept = await restoredScene(context);
  await mkdir(`${kept.path}_before_r1`);
  await assert.rejects(placeTree(kept.place), { type: 'RefusedForSafety', message: /_before_r1 exists already/ });
  assert.equal(fingerprint(kept.path), kept.now);
  const sibling = await restoredScene(context, { mode: 'beside' });
  await mkdir(`${sibling.path}_restored_r1`);
  await assert.rejects(placeTree(sibling.place), { type: 'RefusedForSafety' });
  assert.deepEqual(await readdir(`${sibling.path}_restored_r1`), []);
});

test('[28] nothing is put through a symbolic link inside the tree', async (context) => {
  const { path, place } = await restoredScene(context, { paths: ['a/b/one'] });
  const outside = await temporaryDirectory(context);
  await writeFile(join(outside, 'one'), 'mine');
  await rm(join(path, 'a/b'), { recursive: true });
  await symlink(outside, join(path, 'a/b'));
  await assert.rejects(placeTree(place), { type: 'RefusedForSafety', message: /a\/b is a symbolic link/ });
  assert.deepEqual(await readdir(outside), ['one']);
  assert.equal(await readFile(join(outside, 'one'), 'utf8'), 'mine');
});

test('[27] what an application makes under the name in the gap is kept too', async (context) => {
  const { path, place, past } = await restoredScene(context);
  await stopAt(place, 'before', 'rename', (_from, to) => basename(String(to)) === basename(path), placeTree);
  await mkdir(path);
  await writeFile(join(path, 'upload'), 'fresh');
  const placed = await placeTree(place);
  assert.deepEqual(placed.meanwhile, [`${path}_meanwhile_r1`]);
  assert.equal(await readFile(join(`${path}_meanwhile_r1`, 'upload'), 'utf8'), 'fresh');
  assert.equal(fingerprint(path), past);
});

const CHANGING = ['rename', 'link', 'unlink', 'mkdir', 'rmdir', 'chown', 'chmod'] as const;
type Changing = (typeof CHANGING)[number];
type Call = (...args: unknown[]) => Promise<unknown>;

/** Runs a step that never goes on from its call number `count` of what changes the disk, as one killed there. */
async function killedAt(
  count: number,
  side: 'before' | 'after',
  step: () => Promise<unknown>,
): Promise<'killed' | 'done'> {
  let calls = 0;
  return intercepted(() => {
    calls += 1;
    return calls === count ? side : undefined;
  }, step);
}

async function stopAt(
  place: TreePlace,
  side: 'before' | 'after',
  name: Changing,
  which: (...args: unknown[]) => boolean,
  step: (place: TreePlace) => Promise<unknown>,
): Promise<void> {
  const outcome = await intercepted(
    (called, args) => (called === name && which(...args) ? side : undefined),
    () => step(place),
  );
  assert.equal(outcome, 'killed');
}

/** What never goes on still holds its files open; nothing is to close them behind its back. */
const stopped: unknown[] = [];

async function intercepted(
  decide: (name: Changing, args: unknown[]) => 'before' | 'after' | undefined,
  step: () => Promise<unknown>,
): Promise<'killed' | 'done'> {
  const real = new Map(CHANGING.map((name) => [name, promises[name] as Call]));
  const killed = Promise.withResolvers<'killed'>();
  const never = () => {
    killed.resolve('killed');
    const { promise, resolve } = Promise.withResolvers();
    stopped.push(resolve);
    return promise;
  };
  for (const [name, call] of real)
    Object.assign(promises, {
      [name]: async (...args: unknown[]) => {
        const side = decide(name, args);
        if (side === 'before') return never();
        const result = await call(...args);
        return side === 'after' ? never() : result;
      },
    });
  syncBuiltinESMExports();
  try {
    return await Promise.race([step().then(() => 'done' as const), killed.promise]);
  } finally {
    for (const [name, call] of real) Object.assign(promises, { [name]: call });
    syncBuiltinESMExports();
  }
}

const MOST_CALLS = 60;

describe('[27] killed at any call', () => {
  const extents: Readonly<Record<string, readonly string[] | undefined>> = {
    'a whole tree': undefined,
    'single paths': ['a/b/one', 'gone', 'two'],
  };
  for (const [what, paths] of Object.entries(extents)) {
    test(`${what}: the next try puts it in place`, async (context) => {
      const { path, place, past } = await restoredScene(context, { paths });
      await assertAtEveryCall(context, { path, place, step: placeTree }, async () => {
        const placed = await placeTree(place);
        assert.deepEqual(placed.meanwhile, []);
        await dropTreeLeftOvers(place);
        if (paths === undefined) assert.equal(fingerprint(path), past);
        assert.equal(shell(path, 'cat a/b/one gone/three two'), 'then\nthen\nthen\n');
      });
    });

    test(`${what}: ending the restore leaves all of the old or all of the new`, async (context) => {
      const { path, place, past } = await restoredScene(context, { paths });
      const old = listing(path);
      const outcomes = new Set<string>();
      await assertAtEveryCall(context, { path, place, step: placeTree }, async () => {
        await dropTreeLeftOvers(place);
        const isOld = listing(path) === old;
        if (!isOld) assert.equal(shell(path, 'cat a/b/one gone/three two'), 'then\nthen\nthen\n');
        if (!isOld && paths === undefined) assert.equal(fingerprint(path), past);
        assert.doesNotMatch((await beside(path)).join(), /restoring/);
        outcomes.add(isOld ? 'old' : 'new');
      });
      assert.deepEqual([...outcomes], ['old', 'new']);
    });

    test(`${what}: taking it back, killed too, puts back what was there`, async (context) => {
      const { path, place } = await restoredScene(context, { paths });
      const old = listing(path);
      await assertAtEveryCall(context, { path, place, prepare: placeTree, step: takeBackTree }, async () => {
        const { setAsideAs } = await takeBackTree(place);
        await dropTreeLeftOvers(place);
        assert.equal(listing(path), old);
        const aside = paths?.map((each) => join(path, `${each}_undone_r1`)) ?? [`${path}_undone_r1`];
        assert.deepEqual(setAsideAs, aside);
        for (const name of aside) await access(name);
        assert.deepEqual(await beside(path), paths ? ['media'] : ['media', 'media_undone_r1']);
      });
    });
  }
});

/** Names, modes and contents, without what a restore keeps for itself, or of itself. */
function listing(path: string): string {
  const all = "find . -name '.holdfast-restoring-*' -prune -o -name '*_undone_r1' -prune -o";
  return shell(path, `${all} -printf '%p %m\\n' | LC_ALL=C sort; ${all} -type f -print0 | sort -z | xargs -0 cat`);
}

interface Step {
  readonly path: string;
  readonly place: TreePlace;
  readonly prepare?: (place: TreePlace) => Promise<unknown>;
  readonly step: (place: TreePlace) => Promise<unknown>;
}

/** Does a step, killed before and after every call that changes something, each time on the same scene, and looks. */
async function assertAtEveryCall(
  context: TestContext,
  { path, place, prepare, step }: Step,
  look: () => Promise<void>,
): Promise<void> {
  const parent = dirname(path);
  const saved = await temporaryDirectory(context);
  execFileSync('cp', ['-a', `${parent}/.`, saved]);
  for (let count = 1; count <= MOST_CALLS; count += 1) {
    for (const side of ['before', 'after'] as const) {
      await prepare?.(place);
      const outcome = await killedAt(count, side, () => step(place));
      await look();
      for (const name of await readdir(parent)) await rm(join(parent, name), { recursive: true });
      execFileSync('cp', ['-a', `${saved}/.`, parent]);
      await adopt(place);
      if (outcome === 'done') return;
    }
  }
  assert.fail(`more than ${MOST_CALLS} calls`);
}

test('a FIFO among single paths is left where it is, and the others are put in place', async (context) => {
  const path = join(await temporaryDirectory(context), 'media');
  await mkdir(path);
  shell(path, 'echo then > one; mkfifo pipe; ln -s /etc/hostname host');
  const backup = await backUpTree(context, path, { tar });
  shell(path, 'echo now > one');
  const place = placeOf(path, { paths: ['one', 'pipe', 'host'] });
  const restored = await restoreTree({ ...backup, tar, place });
  assert.deepEqual(restored.omitted, ['pipe', 'host']);
  const placed = await placeTree(place);
  assert.deepEqual(placed.targets, [join(path, 'one')]);
  await dropTreeLeftOvers(place);
  assert.equal(shell(path, 'ls; cat one'), 'host\none\none_before_r1\npipe\nthen\n');
  const nothing = placeOf(path, { paths: ['pipe', 'host'], id: 'r2' });
  await assert.rejects(restoreTree({ ...backup, tar, place: nothing }), {
    type: 'RefusedForSafety',
    message: /nothing that is wanted can be restored: pipe: restores leave FIFOs and devices out; host: links/,
    advice: /mkfifo.*--outside-links/,
  });
});
