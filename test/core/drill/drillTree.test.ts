import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { drillTree, type DrillTreeOptions } from '../../../core/drill/drillTree.ts';
import { isHoldfastError } from '../../../core/errors.ts';
import { findTar } from '../../../core/files/tarProgram.ts';
import { backUpTree, damage, type StoredTree } from '../restore/trees/treeSupport.ts';
import { temporaryDirectory } from '../../support/directories.ts';

async function prepare(context: TestContext) {
  const home = await temporaryDirectory(context);
  const live = join(home, 'media');
  await mkdir(join(live, 'photos'), { recursive: true });
  await writeFile(join(live, 'photos', 'photo.jpg'), Buffer.alloc(100_000, 'photo'));
  await mkdir(join(home, 'drills'));
  const backup = await backUpTree(context, live, { tar: await findTar() });
  return { backup, scratch: join(home, 'drills', 'shop') };
}

async function drill(backup: StoredTree, scratch: string, changes: Partial<DrillTreeOptions> = {}) {
  const { copies, manifest, openingKeys } = backup;
  const [copy] = copies;
  assert.ok(copy);
  return drillTree({ tree: 'media', copy, manifest, openingKeys, scratch, tar: await findTar(), ...changes });
}

test('a tree is unpacked, compared and removed, and so is what a killed drill of another backup left', async (context) => {
  const { backup, scratch } = await prepare(context);
  for (let round = 0; round < 2; round += 1) {
    const seen = new Set<string>();
    const part = await drill(backup, scratch, { onProgress: (phase) => seen.add(phase) });
    assert.equal(part.part, 'media');
    assert.equal(part.differenceCount, 0);
    assert.equal(part.compared, '1 files of 3 entries');
    assert.deepEqual([...seen], ['files', 'comparison']);
    assert.deepEqual(Object.keys(part.phases), ['files', 'comparison']);
    assert.deepEqual(await readdir(join(scratch, '..')), []);
    await mkdir(join(scratch, '.holdfast-restoring-media-of-another'), { recursive: true });
    await writeFile(join(scratch, 'film'), 'left');
  }
});

test('what is not as it was backed up is named', async (context) => {
  const { backup, scratch } = await prepare(context);
  const part = await drill(backup, scratch, {
    onProgress: (phase) => {
      if (phase !== 'comparison') return;
      const [staging = ''] = readdirSync(scratch);
      writeFileSync(join(scratch, staging, 'tree', 'surplus'), '');
    },
  });
  assert.deepEqual(
    part.differences.filter(({ what }) => what === 'presence').map(({ object }) => object),
    ['surplus'],
  );
  assert.ok(part.differenceCount > 0);
  assert.deepEqual(await readdir(join(scratch, '..')), []);
});

test('[16] a damaged copy, a stop, and a directory that cannot be made leave nothing', async (context) => {
  const { backup, scratch } = await prepare(context);
  const stop = new AbortController();
  const reason = new Error('stopped');
  await assert.rejects(drill(backup, scratch, { signal: stop.signal, onProgress: () => stop.abort(reason) }), reason);
  assert.deepEqual(await readdir(join(scratch, '..')), []);
  await damage(backup, 0);
  await assert.rejects(drill(backup, scratch), (error) => isHoldfastError(error, 'ObjectDamaged'));
  assert.deepEqual(await readdir(join(scratch, '..')), []);
  await writeFile(scratch, 'a file');
  await assert.rejects(drill(backup, join(scratch, 'below')), (error) => {
    assert.ok(isHoldfastError(error, 'RestoreFailed'));
    assert.match(error.message, /below of the drill cannot be made/);
    return true;
  });
});
