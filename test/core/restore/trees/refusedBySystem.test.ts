import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { describeError } from '../../../../client/terminal.ts';
import { compareTree } from '../../../../core/restore/trees/compareTree.ts';
import { dropTreeLeftOvers, placeTree } from '../../../../core/restore/trees/placeTree.ts';
import { planTrees } from '../../../../core/restore/plan/planTrees.ts';
import { restoreTree } from '../../../../core/restore/trees/restoreTree.ts';
import { temporaryDirectory } from '../../../support/directories.ts';
import { noMounts } from '../../../support/smallDisk.ts';
import { fingerprint, requiredTar, shell } from '../../files/trees.ts';
import { backUpTree, placeOf } from './treeSupport.ts';

const TREE = 'mkdir -p photos/2026; printf a > photos/2026/a; printf b > photos/b';

for (const program of ['GNU tar', 'node-tar'] as const)
  test(
    `[27] a file system that is full at any step of a tree is named, with what to do (${program})`,
    { skip: noMounts },
    async (context) => {
      const tar = program === 'GNU tar' ? await requiredTar() : undefined;
      const tree = await temporaryDirectory(context);
      shell(tree, TREE);
      const backup = await backUpTree(context, tree, { tar });
      const disk = await temporaryDirectory(context);
      let inodes = 1;
      for (let restored = false; !restored; inodes += 1) {
        execFileSync('mount', ['-t', 'tmpfs', '-o', `size=8m,mode=0700,nr_inodes=${inodes + 1}`, 'tmpfs', disk]);
        const place = placeOf(join(disk, 'media'), { mode: 'new' });
        try {
          const { directory } = await restoreTree({ ...backup, tar, place });
          assert.equal((await compareTree({ ...backup, tar, tree: 'media', directory })).equal, true);
          await placeTree(place);
          await dropTreeLeftOvers(place);
          assert.equal(fingerprint(place.path), fingerprint(tree));
          restored = true;
        } catch (error) {
          const { type, message, advice } = describeError(error);
          assert.match(type, /^(RestoreFailed|DumpFailed|HostFailed)$/, message);
          assert.match(`${message} ${advice}`, new RegExp(`${disk}.*(no room|No space|no space|ENOENT)`, 's'));
          assert.doesNotMatch(`${message} ${advice}`, /\/proc\//);
          assert.match(advice ?? '', /df -i/, message);
          await dropTreeLeftOvers(place);
          assert.deepEqual(await readdir(disk), []);
        } finally {
          execFileSync('umount', ['-l', disk]);
        }
      }
      assert.ok(inodes > 8, 'it was refused at several steps');
    },
  );

test('[27] a tree that has no place in a path of the system is told so before anything is made', async (context) => {
  const tar = await requiredTar();
  const tree = await temporaryDirectory(context);
  shell(tree, TREE);
  const backup = await backUpTree(context, tree, { tar });
  const place = placeOf(join(await temporaryDirectory(context), 'x'.repeat(300)), { mode: 'new' });
  const [plan] = await planTrees({ ...backup, trees: [place], tar });
  assert.match(plan?.findings[0]?.message ?? '', /xxx.*too long/s);
  assert.match(plan?.findings[0]?.advice ?? '', /shorter path/);
});
