import assert from 'node:assert/strict';
import { renameSync, symlinkSync } from 'node:fs';
import promises from 'node:fs/promises';
import { mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { removeTree } from '../../../core/files/removeTree.ts';
import { temporaryDirectory, type Scope } from '../../support/directories.ts';

/** The name of a directory that is to be removed, and one that is nobody's business. */
async function scene(scope: Scope) {
  const home = await temporaryDirectory(scope);
  const victim = join(home, 'victim');
  await mkdir(victim, { mode: 0o755 });
  await writeFile(join(victim, 'file'), 'mine');
  return { directory: join(home, 'directory'), victim };
}

test('[28] a link in place of a directory that is to be removed is not followed', async (context) => {
  const { directory, victim } = await scene(context);
  await symlink(victim, directory);
  await assert.rejects(removeTree(directory), { code: 'ENOTDIR' });
  assert.deepEqual(await readdir(victim), ['file']);
  assert.equal((await stat(victim)).mode & 0o777, 0o755);
});

test('[28] a link put in its place while it is emptied is not followed', async (context) => {
  const { directory, victim } = await scene(context);
  await mkdir(join(directory, 'sub'), { recursive: true });
  const { readdir: real } = promises;
  let swapped = false;
  const swapFirst = async (...args: Parameters<typeof real>) => {
    if (!swapped) {
      swapped = true;
      renameSync(directory, `${directory}-moved`);
      symlinkSync(victim, directory);
    }
    return real(...args);
  };
  Object.assign(promises, { readdir: swapFirst });
  syncBuiltinESMExports();
  try {
    await assert.rejects(removeTree(directory), { code: 'ENOTDIR' });
  } finally {
    Object.assign(promises, { readdir: real });
    syncBuiltinESMExports();
  }
  assert.deepEqual(await readdir(victim), ['file']);
});
