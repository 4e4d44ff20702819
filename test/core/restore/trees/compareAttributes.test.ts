import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import type { TarProgram } from '../../../../core/files/tarProgram.ts';
import { compareTree } from '../../../../core/restore/trees/compareTree.ts';
import { describeTree, isWhole } from '../../../../core/restore/trees/describeTrees.ts';
import { restoreTree } from '../../../../core/restore/trees/restoreTree.ts';
import type { TreeComparison, TreeExtent } from '../../../../core/restore/trees/trees.ts';
import { temporaryDirectory, type Scope } from '../../../support/directories.ts';
import { lastFirst, noMounts } from '../../../support/smallDisk.ts';
import { python, requiredTar, wrappedTar } from '../../files/trees.ts';
import { backUpTree, placeOf } from './treeSupport.ts';

let tar: TarProgram;
before(async () => {
  tar = await requiredTar();
});

const isRoot = process.getuid?.() === 0;

/** `acl(...)`: an ACL that gives users more by their number, as the kernel has it. */
const ACL = `
import os, struct
def acl(**users):
    entries = [(1, 6, 2**32 - 1)] + [(2, 6, int(each[1:])) for each in sorted(users)] + [(4, 4, 2**32 - 1), (16, 6, 2**32 - 1), (32, 4, 2**32 - 1)]
    return struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *each) for each in entries)
`;

const CONTENTS = `${ACL}
for name in ['file', 'odd\\\\name', 'line\\nbreak', 'plain']: open(name, 'w').write(name)
os.makedirs('directory/in')
os.setxattr('file', 'user.kept', b'va\\0\\n l')
os.setxattr('file', 'user.odd=100%', b'1')
os.setxattr('file', 'system.posix_acl_access', acl(u1=1, u4321=1))
os.setxattr('odd\\\\name', 'user.kept', b'2')
os.setxattr('line\\nbreak', 'user.kept', b'3')
os.setxattr('directory', 'system.posix_acl_default', acl(u4321=1))
os.setxattr('directory/in', 'user.kept', b'4')
os.setxattr('.', 'user.kept', b'5')
if os.getuid() == 0: os.setxattr('file', 'trusted.kept', b'6')
`;

/** A tree that was backed up and restored, with what compares it. */
async function restored(scope: Scope, other: Partial<TreeExtent> & { readonly contents?: string; into?: string } = {}) {
  const { contents = CONTENTS, into, ...extent } = other;
  const path = join(await temporaryDirectory(scope), 'media');
  await mkdir(path);
  python(path, contents);
  const backup = await backUpTree(scope, path, { tar });
  const place = placeOf(into ?? path, { mode: 'beside' });
  const result = await restoreTree({ ...backup, tar, ...extent, place });
  const { directory } = result;
  const compare = (settings: Partial<TreeExtent> = extent) =>
    compareTree({ ...backup, tar, ...settings, tree: 'media', directory });
  return { path, directory, compare, result };
}

function told({ differences }: TreeComparison): string[] {
  return differences.map(({ object, what }) => `${object} ${what}`).toSorted();
}

function lost(comparison: TreeComparison): string[] {
  return comparison.lost.flatMap(({ paths }) => paths).toSorted();
}

test('extended attributes and ACLs that came back as they were are no difference, whatever their names', async (context) => {
  const { compare } = await restored(context);
  const { equal, differences, lost: missing } = await compare();
  assert.deepEqual([equal, differences, missing], [true, [], []]);
});

test('an extended attribute or ACL that came out other than it was is told by name', async (context) => {
  const { directory, compare } = await restored(context);
  python(
    directory,
    `${ACL}
os.setxattr('file', 'user.kept', b'VA\\0\\n l')
os.setxattr('file', 'user.surplus', b'1')
os.setxattr('file', 'system.posix_acl_access', acl(u1=1, u4322=1))
os.removexattr('odd\\\\name', 'user.kept')
os.setxattr('directory', 'system.posix_acl_default', acl(u1=1))
os.setxattr('directory/in', 'system.posix_acl_default', acl(u1=1))
os.setxattr('.', 'user.kept', b'6')`,
  );
  const comparison = await compare();
  assert.equal(comparison.equal, false);
  assert.deepEqual(told(comparison), [
    '. attribute user.kept',
    'directory default ACL',
    'directory/in default ACL',
    'file ACL',
    'file attribute user.kept',
    'file attribute user.surplus',
  ]);
  const acl = comparison.differences.find(({ what }) => what === 'ACL');
  assert.match(acl?.expected ?? '', /user:4321:rw-/);
  assert.match(acl?.found ?? '', /user:4322:rw-/);
  assert.deepEqual(lost(comparison), ['odd\\\\name: user.kept']);
  // Their values are nobody's but the application's.
  assert.doesNotMatch(JSON.stringify(comparison), /VA/);
});

test('the attributes of thousands of entries are compared, of the last one too', async (context) => {
  const contents = `import os
for number in range(1100):
    name = str(number).zfill(4)
    open(name, 'w').close()
    os.setxattr(name, 'user.number', name.encode())`;
  const { directory, compare } = await restored(context, { contents });
  assert.deepEqual(told(await compare()), []);
  python(directory, `import os\nfor name in ['0000', '0700', '1099']: os.setxattr(name, 'user.number', b'none')`);
  assert.deepEqual(
    told(await compare()),
    ['0000', '0700', '1099'].map((name) => `${name} attribute user.number`),
  );
});

test('what GNU tar cannot restore here is told by name, with the reason', async (context) => {
  const all = [
    '.: user.kept',
    'directory/in: user.kept',
    'directory: default ACL',
    'file: ACL',
    ...(isRoot ? ['file: trusted.kept'] : []),
    'file: user.kept',
    'file: user.odd=100%',
    'line\\nbreak: user.kept',
    'odd\\\\name: user.kept',
  ];
  const without = { ...(await wrappedTar(context, 'exec TAR "$@"')), xattrs: false, acls: false };
  const cases = [
    [undefined, ['no GNU tar is installed here']],
    [without, ['the GNU tar here was built without ACLs', 'the GNU tar here was built without extended attributes']],
  ] as const;
  for (const [program, reasons] of cases) {
    const { compare, result } = await restored(context, { tar: program });
    const comparison = await compare();
    assert.deepEqual([comparison.equal, comparison.differences], [true, []]);
    assert.deepEqual(lost(comparison), all);
    assert.deepEqual(comparison.lost.map(({ reason }) => reason).toSorted(), reasons);
    assert.equal(isWhole(result, comparison), false);
    const place = { tree: 'media', targets: ['/t'], keptAs: [], meanwhile: [], goBack: [], dropKept: [] };
    const lines = describeTree({ ...place, restored: result, comparison }).join('\n');
    assert.match(lines, /but for \d attributes/);
    assert.match(lines, /NOT restored: .* directory: default ACL/);
  }
});

test(
  'what takes root is told by name where owners are not restored',
  { skip: !isRoot && 'needs root' },
  async (context) => {
    const { compare } = await restored(context, { owners: false });
    const comparison = await compare();
    assert.deepEqual(comparison.differences, []);
    assert.deepEqual(lost(comparison), ['file: trusted.kept']);
    assert.match(comparison.lost[0]?.reason ?? '', /takes root/);
  },
);

test('what the file system does not keep is told by name', { skip: noMounts }, async (context) => {
  const scope = lastFirst(context);
  const into = await temporaryDirectory(scope);
  // A file system without any extended attributes.
  execFileSync('mount', ['-t', 'ramfs', 'ramfs', into]);
  scope.after(async () => void execFileSync('umount', ['-l', into]));
  const { compare } = await restored(scope, { into: join(into, 'media') });
  const comparison = await compare();
  assert.deepEqual(comparison.differences, []);
  assert.equal(comparison.lost.length, 1);
  assert.match(comparison.lost[0]?.reason ?? '', /file system does not keep them/);
  assert.deepEqual(lost(comparison), [
    '.: user.kept',
    'directory/in: user.kept',
    'directory: default ACL',
    'file: ACL',
    'file: trusted.kept',
    'file: user.kept',
    'file: user.odd=100%',
    'line\\nbreak: user.kept',
    'odd\\\\name: user.kept',
  ]);
});

test('an ACL whose user has another number here is told', { skip: !isRoot && 'needs root' }, async (context) => {
  const { directory, compare } = await restored(context);
  // Two hosts differ in /etc/passwd; here the program that reads back tells the name that it would have there.
  const renamed = await wrappedTar(context, `TAR "$@" | sed 's/user:4322:rw-/user:4321:rw-/'; exit 0`);
  python(directory, `${ACL}\nos.setxattr('file', 'system.posix_acl_access', acl(u1=1, u4322=1))`);
  const comparison = await compare({ tar: renamed });
  assert.deepEqual(comparison.differences, []);
  assert.deepEqual(lost(comparison), ['file: ACL']);
  assert.match(comparison.lost[0]?.reason ?? '', /another number/);
});

test('a label of the system that is another one is a note', { skip: !isRoot && 'needs root' }, async (context) => {
  const contents = `import os\nopen('file', 'w').close()\nos.setxattr('file', 'security.label', b'one')`;
  const { directory, compare } = await restored(context, { contents });
  assert.deepEqual((await compare()).notices, []);
  python(directory, `import os\nos.setxattr('file', 'security.label', b'two')`);
  const comparison = await compare();
  assert.deepEqual([comparison.equal, comparison.lost], [true, []]);
  assert.match(comparison.notices.join(), /1 security labels .*: file: security\.label/);
});
