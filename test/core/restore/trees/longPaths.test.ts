import assert from 'node:assert/strict';
import { lstat, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, describe, test, type TestContext } from 'node:test';
import { inspectTree } from '../../../../core/files/inspectTree.ts';
import type { TarProgram } from '../../../../core/files/tarProgram.ts';
import { compareTree } from '../../../../core/restore/trees/compareTree.ts';
import { describeTree, isWhole } from '../../../../core/restore/trees/describeTrees.ts';
import { dropTreeLeftOvers, placeTree } from '../../../../core/restore/trees/placeTree.ts';
import { planTrees } from '../../../../core/restore/plan/planTrees.ts';
import { restoreTree } from '../../../../core/restore/trees/restoreTree.ts';
import { temporaryDirectory } from '../../../support/directories.ts';
import { python, requiredTar, shell, treeConfiguration } from '../../files/trees.ts';
import { backUpTree, placeOf } from './treeSupport.ts';

/*
 * Who goes down directory by directory can make paths longer than any call takes (4095 bytes). GNU tar reads them, and
 * cannot write them again.
 */

let tar: TarProgram;
before(async () => {
  tar = await requiredTar();
});

function chosen(program: string): TarProgram | undefined {
  return program === 'GNU tar' ? tar : undefined;
}

/** Directories of 200 bytes in each other, a file in each. */
async function deepTree(context: TestContext, levels: number): Promise<string> {
  const home = await temporaryDirectory(context);
  const path = join(home, 'media');
  await mkdir(path, { recursive: true });
  python(
    path,
    `import os
open('plain', 'w').write('plain')
for level in range(${levels}):
    name = chr(97 + level) * 200
    os.mkdir(name); os.chdir(name); open('file', 'w').write(str(level)); os.link('file', 'hard'); os.symlink('file', 'soft')`,
  );
  return path;
}

for (const program of ['GNU tar', 'node-tar'] as const)
  describe(`[11] paths too long for the system, with ${program}`, () => {
    test('are backed up, named, and left out by a restore that brings back all else', async (context) => {
      const path = await deepTree(context, 25);
      try {
        // As `tar` has them, with ./ before.
        const most = program === 'GNU tar' ? 4095 : 4000;
        const all = shell(path, "find . -printf '%p\\n'").trim().split('\n');
        const long = all.filter((name) => name.length > most).length;
        assert.ok(long > 10);

        const inspection = await inspectTree('media', treeConfiguration(path));
        assert.deepEqual(
          inspection.findings.map(({ level }) => level),
          ['warning'],
        );
        assert.match(inspection.findings[0]?.message ?? '', /paths too long for any program/);

        const backup = await backUpTree(context, path, { tar: chosen(program) });
        const report = backup.manifest.parts[0]?.tree;
        assert.deepEqual([report?.unreadable.count, report?.vanished.count], [0, 0]);
        assert.equal(report?.longPaths?.count, all.filter((name) => name.length > 4095).length);
        assert.ok(JSON.stringify(report).length < 50_000, 'names are cut');
        assert.match(report?.longPaths?.paths[0] ?? '', /^a{200}.*\.\.\..*\(\d+ bytes\)$/);

        const place = placeOf(path);
        const [plan] = await planTrees({ manifest: backup.manifest, trees: [place], tar: chosen(program) });
        assert.ok(plan?.findings.some(({ message }) => /have paths too long to be written/.test(message)));

        const restored = await restoreTree({ ...backup, tar: chosen(program), place });
        assert.equal(restored.leftOut.longPaths.count, long);
        const options = { ...backup, tar: chosen(program), tree: 'media', directory: restored.directory };
        const comparison = await compareTree(options);
        assert.deepEqual(comparison.differences, []);
        assert.equal(comparison.compared.entries, all.length - long);
        assert.equal(isWhole(restored, comparison), false);
        const placed = await placeTree(place);
        assert.match(
          describeTree({ ...placed, restored, comparison }).join('\n'),
          /NOT restored: \d+ entries whose paths are too long to be written: a{200}/,
        );
        await dropTreeLeftOvers(place);
        assert.equal(shell(path, 'find . -printf x').length, all.length - long);
        assert.equal(shell(dirname(path), 'ls -A'), 'media\nmedia_before_r1\n');
      } finally {
        shell(dirname(path), 'rm -rf media*');
      }
    });

    test('as long as they may be do not keep a tree from being restored where it was', async (context) => {
      // 4,020 bytes below the root: the names that it has while it is restored would be too long.
      const path = await deepTree(context, program === 'GNU tar' ? 20 : 19);
      try {
        const all = shell(path, 'find . -printf x').length;
        const backup = await backUpTree(context, path, { tar: chosen(program) });
        const place = placeOf(path);
        const restored = await restoreTree({ ...backup, tar: chosen(program), place });
        assert.equal(restored.leftOut.longPaths.count, 0);
        const options = { ...backup, tar: chosen(program), tree: 'media', directory: restored.directory };
        assert.deepEqual((await compareTree(options)).differences, []);
        await placeTree(place);
        await dropTreeLeftOvers(place);
        assert.equal(shell(path, 'find . -printf x').length, all);
      } finally {
        shell(dirname(path), 'rm -rf media*');
      }
    });
  });

test('[11] what a restore has unpacked is removed however deep it is', async (context) => {
  const path = await deepTree(context, 19);
  try {
    const backup = await backUpTree(context, path, { tar });
    const place = placeOf(path);
    const { directory } = await restoreTree({ ...backup, tar, place });
    shell(dirname(path), 'rm -rf media');
    await dropTreeLeftOvers(place);
    await assert.rejects(lstat(directory), { code: 'ENOENT' });
  } finally {
    shell(dirname(path), 'rm -rf media*');
  }
});
