import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { inspectTree } from '../../../core/files/inspectTree.ts';
import { missingMounts } from '../../../core/files/treeDirectory.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { shell, treeConfiguration } from './trees.ts';

async function levels(...tree: Parameters<typeof treeConfiguration>) {
  const { findings } = await inspectTree('media', treeConfiguration(...tree));
  return findings.map(({ level, error }) => [level, error?.type]);
}

describe('looking at a tree before its backup', () => {
  test('counts what a backup would hold', async (t) => {
    const directory = await temporaryDirectory(t);
    shell(directory, 'mkdir d; printf 123 > d/a; printf 45 > b; ln -s b c; printf 6789 > left.gz');
    const found = await inspectTree('media', treeConfiguration(directory, { exclude: ['*.gz'] }));
    assert.deepEqual(found, { findings: [], files: 2, bytes: 5 });
  });

  test('[10] says what a backup would fail with', async (t) => {
    const directory = await temporaryDirectory(t);
    await writeFile(join(directory, 'file'), '');
    assert.deepEqual(await levels(join(directory, 'nowhere')), [['failed', 'FilesUnreadable']]);
    assert.deepEqual(await levels(join(directory, 'file')), [['failed', 'FilesUnreadable']]);
    assert.deepEqual(await levels(directory, { minimumFiles: 2 }), [['failed', 'FloorViolated']]);
    assert.deepEqual(await levels(directory, { exclude: ['f*'] }), [['failed', 'FloorViolated']]);
    assert.deepEqual(await levels(directory), []);
  });

  test('[10] a mount that should be there and is not is named', async (t) => {
    const directory = await temporaryDirectory(t);
    const [expected, present] = [join(directory, 'fstab'), join(directory, 'mounts')];
    await writeFile(
      expected,
      `# comment
/dev/a / ext4 defaults 0 1
/dev/b /srv ext4 defaults 0 2
server:/x /srv/shop/media\\040files nfs rw 0 0
/dev/c /srv/shop/media\\040files/manual ext4 noauto 0 0
/dev/d /srv/other ext4 defaults 0 0
/dev/e none swap sw 0 0
`,
    );
    await writeFile(present, '/dev/a / ext4 rw 0 0\n/dev/b /srv ext4 rw 0 0\n');
    const tables = { expected, present };
    assert.deepEqual(await missingMounts('/srv/shop/media files/deep', tables), ['/srv/shop/media files']);
    assert.deepEqual(await missingMounts('/srv/shop', tables), ['/srv/shop/media files']);
    assert.deepEqual(await missingMounts('/srv/sho', tables), []);
    assert.deepEqual(await missingMounts('/srv/shop', { expected: join(directory, 'none'), present }), []);
  });
});
