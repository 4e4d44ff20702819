import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { link, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, test } from 'node:test';
import type { TarProgram } from '../../../../core/files/tarProgram.ts';
import { planTrees } from '../../../../core/restore/plan/planTrees.ts';
import { restoreTree } from '../../../../core/restore/trees/restoreTree.ts';
import type { PlannedTree, PlanTreesOptions } from '../../../../core/restore/trees/trees.ts';
import { temporaryDirectory, type Scope } from '../../../support/directories.ts';
import { lastFirst, mountSmallDisk, noMounts } from '../../../support/smallDisk.ts';
import { requiredTar, shell } from '../../files/trees.ts';
import { backUpTree, placeOf, type StoredTree } from '../trees/treeSupport.ts';

let tar: TarProgram;
before(async () => {
  tar = await requiredTar();
});

async function scene(scope: Scope) {
  const home = await temporaryDirectory(scope);
  const path = join(home, 'media');
  await mkdir(join(path, 'sub'), { recursive: true });
  await writeFile(join(path, 'sub/file'), Buffer.alloc(3_000_000, 1));
  return { home, path, backup: await backUpTree(scope, path, { tar }) };
}

async function planOne(backup: StoredTree, place: PlannedTree, other: Partial<PlanTreesOptions> = {}) {
  const [plan] = await planTrees({ manifest: backup.manifest, trees: [place], tar, owners: true, ...other });
  assert.ok(plan);
  const failures = plan.findings.filter(({ severity }) => severity === 'failure').map(({ message }) => message);
  const warnings = plan.findings.filter(({ severity }) => severity === 'warning').map(({ message }) => message);
  for (const { advice } of plan.findings) assert.notEqual(advice, '');
  return { plan, failures, warnings };
}

test('a plan says what goes where, what is kept, and how much it takes, and changes nothing', async (context) => {
  const { home, path, backup } = await scene(context);
  const { plan, failures, warnings } = await planOne(backup, placeOf(path));
  assert.deepEqual([failures, warnings], [[], []]);
  assert.deepEqual([plan.targets, plan.keptAs], [[path], [`${path}_before_r1`]]);
  assert.deepEqual([plan.files, plan.bytes], [1, 3_000_000]);
  assert.ok(plan.requiredBytes > 3_000_000 && plan.requiredBytes < 3_100_000);
  assert.ok((plan.freeBytes ?? 0) > 0);
  const beside = await planOne(backup, placeOf(path, { mode: 'beside' }));
  assert.deepEqual([beside.plan.targets, beside.plan.keptAs], [[`${path}_restored_r1`], []]);
  const some = await planOne(backup, placeOf(path, { paths: ['sub/file', 'sub/', 'gone/x'] }));
  assert.deepEqual(some.plan.targets, [join(path, 'sub'), join(path, 'gone/x')]);
  assert.deepEqual(some.plan.keptAs, [join(path, 'sub_before_r1')]);
  assert.deepEqual(await readdir(home), ['media']);
});

test('[26] what stands in the way of a tree is said before anything changes', async (context) => {
  const { home, path, backup } = await scene(context);
  const failuresOf = async (place: PlannedTree, other: Partial<PlanTreesOptions> = {}) =>
    (await planOne(backup, place, other)).failures.join('\n');
  assert.match(await failuresOf(placeOf(path, { tree: 'logs' })), /has no part logs/);
  assert.match(await failuresOf(placeOf(join(home, 'not/there'))), /home|not does not exist/);
  assert.match(await failuresOf(placeOf(join(path, 'sub/file'))), /is no directory/);
  assert.match(await failuresOf(placeOf('/')), /cannot be restored to \//);
  assert.match(await failuresOf(placeOf(path, { id: '../x' })), /cannot be restored/);
  assert.match(await failuresOf(placeOf(path, { id: 'x'.repeat(250) })), /cannot be restored/);
  assert.match(await failuresOf(placeOf(path, { paths: ['/etc/passwd'] })), /no path within a tree/);
  assert.match(await failuresOf(placeOf(join(home, 'new'), { paths: ['a'] })), /nothing to put single files into/);
  const own = { what: 'the storage local', path: join(path, 'copies') };
  assert.match(await failuresOf(placeOf(path), { ownDirectories: [own] }), /the storage local in .* not apart/);
  assert.match(await failuresOf(placeOf(path), { ownDirectories: [{ ...own, path: home }] }), /not apart/);
  assert.equal(await failuresOf(placeOf(path), { ownDirectories: [{ ...own, path: `${path}2` }] }), '');
  await mkdir(`${path}_before_r1`);
  assert.match(await failuresOf(placeOf(path)), /media_before_r1 exists already/);
  await mkdir(`${path}_restored_r1`);
  assert.match(await failuresOf(placeOf(path, { mode: 'beside' })), /media_restored_r1 exists already/);
  await symlink('sub', join(path, 'link'));
  assert.match(await failuresOf(placeOf(path, { paths: ['link/file'] })), /link is a symbolic link/);
});

test('a plan names what will be left out, before anybody approves it', async (context) => {
  const { path } = await scene(context);
  shell(
    path,
    'for each in 1 2 3 4 5 6 7 8 9 a b c; do ln -s /elsewhere link-$each; done; ln -s sub inside; mkfifo pipe',
  );
  const backup = await backUpTree(context, path, { tar });
  const { failures, warnings } = await planOne(backup, placeOf(path));
  assert.deepEqual(failures, []);
  assert.match(warnings[0] ?? '', /^12 symbolic links of media lead out of it, .*: link-1, .*link-a and 2 more$/);
  assert.match(warnings[1] ?? '', /^1 FIFOs and devices of media will be left out: pipe$/);
  assert.equal(warnings.length, 2);
  const asked = await planOne(backup, placeOf(path), { outsideLinks: true });
  assert.deepEqual(asked.warnings, [warnings[1]]);
  // As many are left out as were told.
  const { leftOut } = await restoreTree({ ...backup, tar, place: placeOf(path, { mode: 'beside' }) });
  assert.deepEqual([leftOut.outsideLinks.count, leftOut.specialFiles.count], [12, 1]);
});

test('a plan of a backup that did not count them says so', async (context) => {
  const { path } = await scene(context);
  await symlink('/elsewhere', join(path, 'link'));
  const backup = await backUpTree(context, path, { tar });
  for (const { tree } of backup.manifest.parts) delete tree?.outsideLinks;
  const { warnings } = await planOne(backup, placeOf(path));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /does not tell whether it has any/);
  assert.deepEqual((await planOne(backup, placeOf(path), { outsideLinks: true })).warnings, []);
});

test('[26] trees that lie in each other are not put in place at once', async (context) => {
  const { path, backup } = await scene(context);
  await symlink(path, `${path}-link`);
  const failuresOf = async (...trees: PlannedTree[]) => {
    const plans = await planTrees({ manifest: backup.manifest, trees, tar, owners: true });
    return plans.map(({ findings }) => findings.map(({ message }) => message).join());
  };
  const inner = placeOf(join(path, 'sub'), { mark: 'test/2' });
  const together = /media .* and media .* lie in each other: they cannot be put in place at once/;
  for (const pair of [
    [placeOf(path), inner],
    [inner, placeOf(path)],
    [placeOf(path), placeOf(path, { paths: ['sub/file'] })],
    [inner, placeOf(path, { paths: ['sub/file'] })],
    [placeOf(`${path}-link`), inner],
  ] as const) {
    const [first, second] = await failuresOf(...pair);
    assert.equal(first, '');
    assert.match(second ?? '', together);
  }
  assert.deepEqual(await failuresOf(inner), ['']);
  assert.deepEqual(await failuresOf(inner, placeOf(`${path}2`)), ['', '']);
  const beside = { mode: 'beside' } as const;
  assert.deepEqual(await failuresOf({ ...placeOf(path), ...beside }, { ...inner, ...beside }), ['', '']);
});

test('what a restore of the same mark has begun is no obstacle', async (context) => {
  const { path, backup } = await scene(context);
  const place = placeOf(path, { mode: 'beside' });
  await restoreTree({ ...backup, tar, place });
  await mkdir(`${path}_restored_r1`);
  assert.deepEqual((await planOne(backup, place)).failures, []);
  assert.equal((await planOne(backup, { ...place, mark: 'test/2' })).failures.length, 1);
});

test('[26] mount points, small disks and read-only ones are found', { skip: noMounts }, async (context) => {
  const scope = lastFirst(context);
  const { home, path, backup } = await scene(scope);
  const disk = join(home, 'disk');
  await mkdir(disk);
  const mounted = mountSmallDisk(scope, disk, 4);
  const failuresOf = async (place: PlannedTree) => (await planOne(backup, place)).failures.join('\n');
  assert.match(await failuresOf(placeOf(disk)), /is a mount point, which cannot be renamed/);
  assert.equal(await failuresOf(placeOf(disk, { mode: 'beside' })), '');
  assert.equal(await failuresOf(placeOf(disk, { paths: ['sub/file'] })), '');
  assert.match((await planOne(backup, placeOf(home))).warnings.join(), /a file system is mounted at .*disk, inside/);
  await symlink(disk, join(path, 'elsewhere'));
  const both = [placeOf(join(disk, 'one')), placeOf(join(disk, 'two'))];
  const [one, two] = await planTrees({ manifest: backup.manifest, trees: both, tar, owners: true });
  assert.deepEqual(one?.findings, []);
  assert.match(two?.findings[0]?.message ?? '', /needs 2.* beside the 2.* of other trees, 4.* are free/);
  await writeFile(join(disk, 'filler'), Buffer.alloc(2_000_000));
  assert.match(await failuresOf(placeOf(join(disk, 'one'))), /media needs .* in .*disk, 2.* are free/);
  const some = await planOne(backup, placeOf(disk, { paths: ['sub/file'] }));
  assert.deepEqual(some.failures, []);
  assert.match(some.warnings.join(), /a part of it may fit/);
  mounted.makeReadOnly();
  assert.match(await failuresOf(placeOf(join(disk, 'one'))), /may not write to/);
  assert.deepEqual(await readdir(dirname(path)), ['disk', 'media']);
});

test('a file whose other names keep what is there now is a warning', async (context) => {
  const { path, backup } = await scene(context);
  const file = join(path, 'sub/file');
  const warningsOf = async (place: PlannedTree) => (await planOne(backup, place)).warnings;
  assert.deepEqual(await warningsOf(placeOf(path, { paths: ['sub/file', 'none'] })), []);
  await link(file, join(path, 'other'));
  const [warning, ...more] = await warningsOf(placeOf(path, { paths: ['sub/file'] }));
  assert.match(warning ?? '', /sub\/file is one of 2 names of a file .*: the others keep what is in it now/);
  assert.deepEqual(more, []);
  assert.deepEqual(await warningsOf(placeOf(path)), []);
});

test('what cannot be restored as it was is a warning', async (context) => {
  const { path, backup } = await scene(context);
  const place = { ...placeOf(path), exclude: ['*.gz'] };
  const { failures, warnings } = await planOne(backup, place, { tar: undefined, owners: false });
  assert.deepEqual(failures, []);
  assert.match(warnings.join('\n'), /belong to the user of this process[^]*no GNU tar[^]*excludes \(\*\.gz\)/);
  const built = await planOne(backup, placeOf(path), { tar: { ...tar, acls: false } });
  assert.match(built.warnings.join(), /built without ACLs: those of media are not restored/);
});

test('single paths of a tree that is gone are refused for that, and for nothing else', async (context) => {
  const { path, backup } = await scene(context);
  const place = placeOf(join(path, 'gone'), { paths: ['sub/file'] });
  const { failures, plan } = await planOne(backup, place);
  assert.deepEqual(
    failures.map((each) => each.replace(path, '')),
    ['/gone does not exist: there is nothing to put single files into'],
  );
  assert.equal(plan.findings[0]?.type, 'RefusedForSafety');
});

test('a file system that does not tell what is free is no full one', { skip: noMounts }, async (context) => {
  const scope = lastFirst(context);
  const { home, backup } = await scene(scope);
  const disk = join(home, 'disk');
  await mkdir(disk);
  execFileSync('mount', ['-t', 'ramfs', '-o', 'mode=0700', 'ramfs', disk]);
  scope.after(async () => void execFileSync('umount', ['-l', disk]));
  const { failures, warnings, plan } = await planOne(backup, placeOf(join(disk, 'media'), { mode: 'new' }));
  assert.deepEqual(failures, []);
  assert.match(warnings.join(), /does not tell how much it has room for: media needs 2/);
  assert.equal(plan.freeBytes, undefined);
});

test('a plan of nothing but what is left out is refused', async (context) => {
  const { path } = await scene(context);
  shell(path, 'mkfifo pipe; ln -s /etc/hostname host; echo > file');
  const backup = await backUpTree(context, path, { tar });
  const failuresOf = async (paths: string[], other: Partial<PlanTreesOptions> = {}) =>
    (await planOne(backup, placeOf(path, { paths }), other)).failures.join();
  assert.match(await failuresOf(['pipe', 'host']), /of media nothing would be restored: pipe, host would be left out/);
  assert.equal(await failuresOf(['host'], { outsideLinks: true }), '');
  assert.equal(await failuresOf(['pipe', 'file']), '');
});
