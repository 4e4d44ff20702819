import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chown, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, describe, test, type TestContext } from 'node:test';
import type { TarProgram } from '../../../../core/files/tarProgram.ts';
import { dropTreeLeftOvers, placeTree, takeBackTree } from '../../../../core/restore/trees/placeTree.ts';
import { planTrees } from '../../../../core/restore/plan/planTrees.ts';
import { restoreTree } from '../../../../core/restore/trees/restoreTree.ts';
import { findTreeLeftOvers, stagingOf } from '../../../../core/restore/trees/stagingDirectory.ts';
import type { TreePlace } from '../../../../core/restore/trees/trees.ts';
import { temporaryDirectory } from '../../../support/directories.ts';
import { requiredTar } from '../../files/trees.ts';
import { adopt, backUpTree, placeOf, type StoredTree } from './treeSupport.ts';

/*
 * What stands beside a tree, or in it, may have been put there by whoever owns the tree, while a restore often runs as root.
 */

let tar: TarProgram;
before(async () => {
  tar = await requiredTar();
});

interface Scene {
  readonly place: TreePlace;
  readonly backup: StoredTree;
  readonly staging: string;
  /** A directory of somebody else's, with a file in it, and what it was. */
  readonly victim: string;
}

async function scene(context: TestContext, other: Partial<TreePlace> = {}): Promise<Scene> {
  const home = await temporaryDirectory(context);
  const path = join(home, 'media');
  const victim = join(home, 'victim');
  for (const directory of [path, victim]) {
    await mkdir(directory, { mode: 0o755 });
    await writeFile(join(directory, 'file'), 'then');
  }
  const place = placeOf(path, { paths: ['file'], ...other });
  const backup = await backUpTree(context, path, { tar });
  const { directory: staging } = await stagingOf(place);
  return { place, backup, staging, victim };
}

/** Every step of a restore, and what it is to answer to a planted directory. */
async function assertRefused({ place, backup, staging }: Scene): Promise<void> {
  const refused = (error: { type?: string; message?: string }) => {
    assert.equal(error.type, 'RefusedForSafety', String(error.message));
    assert.ok(error.message?.includes(staging), error.message);
    return true;
  };
  await assert.rejects(restoreTree({ ...backup, tar, place }), refused);
  await assert.rejects(placeTree(place), refused);
  await assert.rejects(takeBackTree(place), refused);
  await assert.rejects(dropTreeLeftOvers(place), refused);
  assert.deepEqual(await findTreeLeftOvers(place.path), []);
  const [plan] = await planTrees({ manifest: backup.manifest, trees: [place], tar });
  assert.equal(plan?.findings[0]?.severity, 'failure');
  assert.ok(plan.findings[0].message.includes(staging));
}

/** A journal that wants something of the victim's to be moved. */
async function plantJournal({ place, staging, victim }: Scene, directory: string): Promise<void> {
  const move = { live: join(victim, 'file'), keptAs: join(place.path, 'taken'), staged: join(staging, 'tree/file') };
  const { dev, ino } = await stat(move.live, { bigint: true });
  const moves = [{ ...move, before: `${dev}:${ino}`, after: '1:1' }];
  await writeFile(join(directory, 'moves.json'), JSON.stringify({ moves, made: [], placed: false }));
  await writeFile(join(directory, 'restored.json'), '{}');
  const { ino: own } = await stat(directory, { bigint: true });
  await writeFile(join(directory, 'place.json'), JSON.stringify({ ...place, inode: String(own) }));
}

describe('[28] what somebody else put where a restore works is not believed', () => {
  test('a link', async (context) => {
    const planted = await scene(context);
    await symlink(planted.victim, planted.staging);
    await assertRefused(planted);
    assert.deepEqual(await readdir(planted.victim), ['file']);
  });

  test('a directory of another user', { skip: process.getuid?.() !== 0 && 'needs root' }, async (context) => {
    const planted = await scene(context);
    await mkdir(planted.staging, { mode: 0o700 });
    await plantJournal(planted, planted.staging);
    await chown(planted.staging, 12_345, 12_345);
    await assertRefused(planted);
    assert.equal(await readFile(join(planted.victim, 'file'), 'utf8'), 'then');
  });

  test('a directory that others may write to', async (context) => {
    const planted = await scene(context);
    await mkdir(planted.staging);
    execFileSync('chmod', ['0770', planted.staging]);
    await plantJournal(planted, planted.staging);
    await assertRefused(planted);
    assert.equal(await readFile(join(planted.victim, 'file'), 'utf8'), 'then');
  });

  test('a copy of one, as a backup of before may hold it', async (context) => {
    const planted = await scene(context);
    const { place, backup, staging } = planted;
    await restoreTree({ ...backup, tar, place });
    assert.equal((await findTreeLeftOvers(place.path)).length, 1);
    execFileSync('cp', ['-a', staging, `${staging}-copy`]);
    await rename(staging, `${staging}-first`);
    await rename(`${staging}-copy`, staging);
    await assertRefused(planted);
    const another = { ...place, id: 'r2', mark: 'test/2' };
    await restoreTree({ ...backup, tar, place: another });
    await placeTree(another);
    await dropTreeLeftOvers(another);
    assert.equal((await stat(`${join(place.path, 'file')}_before_r2`)).isFile(), true);
  });
});

test('[28] a left-over of another name than its record says is passed over', async (context) => {
  const { place, backup, staging } = await scene(context);
  await restoreTree({ ...backup, tar, place });
  await rename(staging, join(dirname(staging), '.holdfast-restoring-media-0123456789abcdef'));
  assert.deepEqual(await findTreeLeftOvers(place.path), []);
});

test('[28] a journal that names what is none of the restore is refused, and one that is damaged', async (context) => {
  const planted = await scene(context);
  const { place, backup, staging, victim } = planted;
  await restoreTree({ ...backup, tar, place });
  await plantJournal(planted, staging);
  const damaged = {
    type: 'RefusedForSafety',
    message: /moves\.json, a record .* is damaged: .*victim\/file is not of/,
  };
  for (const step of [placeTree, takeBackTree, dropTreeLeftOvers]) await assert.rejects(step(place), damaged);
  assert.deepEqual(await readdir(victim), ['file']);
  assert.equal(await readFile(join(place.path, 'file'), 'utf8'), 'then');
  const journal = join(staging, 'moves.json');
  await rm(journal);
  await writeFile(journal, '{"moves": [');
  for (const step of [placeTree, takeBackTree, dropTreeLeftOvers])
    await assert.rejects(step(place), {
      type: 'RefusedForSafety',
      message: /moves\.json, .* is damaged/,
      advice: /remove/,
    });
  await rm(journal);
  await adopt(place);
  await placeTree(place);
});
