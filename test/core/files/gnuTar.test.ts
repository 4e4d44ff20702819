import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { before, describe, test } from 'node:test';
import { extractArchive } from '../../../core/files/extractArchive.ts';
import { findTar, type TarProgram } from '../../../core/files/tarProgram.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { lastFirst, noMounts } from '../../support/smallDisk.ts';
import {
  archiveTree,
  fingerprint,
  python,
  requiredTar,
  sha256,
  shell,
  treeConfiguration,
  wrappedTar,
} from './trees.ts';

/** Any user that is not root; root could read everything. */
const NOBODY = 65_534;

let tar: TarProgram;
before(async () => {
  tar = await requiredTar();
});

describe('what only GNU tar keeps or tells', () => {
  test('[10] unreadable files and directories are named exactly, whatever their names', async (t) => {
    const directory = await temporaryDirectory(t);
    await chmod(directory, 0o755);
    const asNobody = await wrappedTar(
      t,
      process.getuid?.() === 0 ? `exec setpriv --reuid ${NOBODY} --clear-groups TAR "$@"` : 'exec TAR "$@"',
    );
    python(
      directory,
      `
import os
for name in [b'a: b', b'new\\nline', b'bad\\xff\\xfe', 'é'.encode(), b'back\\\\101', b'readable']:
    open(name, 'w').write('x')
    os.chmod(name, 0o644 if name == b'readable' else 0)
os.mkdir('shut'); open('shut/inside', 'w'); os.chmod('shut', 0)
`,
    );
    const { report } = await archiveTree(treeConfiguration(directory), { tar: asNobody });
    assert.deepEqual(report.unreadable, {
      count: 6,
      paths: ['a: b', String.raw`back\\101`, String.raw`bad\377\376`, String.raw`new\nline`, 'shut', 'é'],
    });
    assert.equal(report.files, 1);
    await assert.rejects(archiveTree(treeConfiguration(directory, { onUnreadable: 'fail' }), { tar: asNobody }), {
      type: 'FilesUnreadable',
      message: /6 of the files of media/,
    });
    await chmod(join(directory, 'shut'), 0o700);
  });

  test('[10] long lists are cut, their counts are not', async (t) => {
    const directory = await temporaryDirectory(t);
    python(directory, `import socket\nfor n in range(60): socket.socket(socket.AF_UNIX).bind(f's{n}')\nopen('f', 'w')`);
    const { report } = await archiveTree(treeConfiguration(directory), { tar });
    assert.equal(report.skipped.count, 60);
    assert.equal(report.skipped.paths.length, 50);
  });

  test('[11] names that are no UTF-8 survive', async (t) => {
    const directory = await temporaryDirectory(t);
    python(
      directory,
      `open(b'bad\\xff\\xfename', 'w').write('x'); import os; os.symlink(b'bad\\xff\\xfename', b'l\\xe9')`,
    );
    const { archive } = await archiveTree(treeConfiguration(directory), { tar });
    const target = await temporaryDirectory(t);
    await extractArchive(Readable.from([archive]), target, { tar });
    assert.equal(fingerprint(target), fingerprint(directory));
  });

  test('[11] a sparse file stays sparse and is counted whole', async (t) => {
    const directory = await temporaryDirectory(t);
    shell(directory, `truncate -s 64M sparse; printf middle | dd of=sparse bs=1M seek=32 conv=notrunc status=none`);
    const { archive, report } = await archiveTree(treeConfiguration(directory), { tar });
    assert.equal(report.bytes, 64 * 2 ** 20);
    assert.ok(archive.length < 2 ** 20, `the archive has ${archive.length} bytes`);
    const target = await temporaryDirectory(t);
    await extractArchive(Readable.from([archive]), target, { tar });
    assert.equal(fingerprint(target), fingerprint(directory));
    assert.ok((await stat(join(target, 'sparse'))).blocks * 512 < 2 ** 20);
    await assert.rejects(extractArchive(Readable.from([archive]), await temporaryDirectory(t), { tar: undefined }), {
      type: 'ToolMissing',
      message: /sparse/,
    });
  });

  test('[11] extended attributes and access lists survive', async (t) => {
    const directory = await temporaryDirectory(t);
    const show = `
import os
print({name: os.getxattr('f', name).hex() for name in sorted(os.listxattr('f'))})`;
    python(
      directory,
      `
import os
open('f', 'w').write('x')
os.setxattr('f', 'user.kept', b'value')
os.setxattr('f', 'system.posix_acl_access', bytes.fromhex(
    '02000000' '01000600ffffffff' '0200040001000000' '04000400ffffffff' '10000400ffffffff' '20000400ffffffff'))`,
    );
    const { archive } = await archiveTree(treeConfiguration(directory), { tar });
    const target = await temporaryDirectory(t);
    await extractArchive(Readable.from([archive]), target, { tar });
    assert.match(python(directory, show), /posix_acl_access/);
    assert.equal(python(target, show), python(directory, show));
  });

  test('the same tree gives the same bytes', async (t) => {
    const directory = await temporaryDirectory(t);
    shell(directory, 'mkdir d; for n in 3 1 2; do echo $n > d/$n; done');
    const [one, other] = [
      await archiveTree(treeConfiguration(directory), { tar }),
      await archiveTree(treeConfiguration(directory), { tar }),
    ];
    assert.equal(sha256(one.archive), sha256(other.archive));
  });

  test('[2] a tar that is killed, or ends early with exit code 0, is no backup', async (t) => {
    const directory = await temporaryDirectory(t);
    await writeFile(join(directory, 'data'), Buffer.alloc(2 ** 20, 1));
    const killed = await wrappedTar(t, 'TAR "$@" | head -c 300000; kill -9 $$');
    await assert.rejects(archiveTree(treeConfiguration(directory), { tar: killed }), {
      type: 'DumpFailed',
      message: /SIGKILL/,
    });
    const short = await wrappedTar(t, 'TAR "$@" | head -c 300000; exit 0');
    await assert.rejects(archiveTree(treeConfiguration(directory), { tar: short }), {
      type: 'DumpFailed',
      message: /cut short/,
    });
    const failing = await wrappedTar(t, 'TAR "$@"; echo "tar: disk on fire" >&2; exit 2');
    await assert.rejects(archiveTree(treeConfiguration(directory), { tar: failing }), {
      type: 'DumpFailed',
      message: /exit code 2: tar: disk on fire/,
    });
  });

  test('[3] a tar that stalls is ended', async (t) => {
    const directory = await temporaryDirectory(t);
    await writeFile(join(directory, 'data'), 'x');
    const stalled = await wrappedTar(t, 'TAR "$@" | head -c 1000; exec sleep 600');
    await assert.rejects(archiveTree(treeConfiguration(directory), { tar: stalled, stallTimeout: 300 }), {
      type: 'Stalled',
    });
  });

  test('only a GNU tar that is new enough is used', async (t) => {
    const directory = await temporaryDirectory(t);
    const offer = async (name: string, version: string) => {
      await mkdir(join(directory, name));
      await writeFile(join(directory, name, 'tar'), `#!/bin/sh\necho '${version}'\n`, { mode: 0o755 });
      return join(directory, name);
    };
    const old = await offer('old', 'tar (GNU tar) 1.27.1');
    const bsd = await offer('bsd', 'bsdtar 3.7.2 - libarchive 3.7.2');
    assert.equal(await findTar(`${old}:${bsd}:`), undefined);
    const found = await findTar(`${old}:${bsd}:${process.env.PATH}`);
    assert.equal(found?.path, tar.path);
    assert.deepEqual([found.xattrs, found.acls], [true, true]);
  });

  test('what could not be set of attributes is told by name, and nothing else', { skip: noMounts }, async (t) => {
    const scope = lastFirst(t);
    const [directory, into] = [await temporaryDirectory(scope), await temporaryDirectory(scope)];
    python(
      directory,
      `
import os, struct
acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *each) for each in [(1, 6, 2**32 - 1), (2, 6, 4321), (4, 4, 2**32 - 1), (16, 6, 2**32 - 1), (32, 4, 2**32 - 1)])
for name in ['plain', 'kept', 'program', 'line\\nbreak', 'shared']: open(name, 'w').close()
os.mkdir('open'); os.mkdir('plain directory')
os.setxattr('kept', 'user.kept', b'1')
os.setxattr('line\\nbreak', 'user.kept', b'1')
os.setxattr('program', 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 13, 0, 0, 0))
os.setxattr('shared', 'system.posix_acl_access', acl)
os.setxattr('open', 'system.posix_acl_default', acl)
`,
    );
    const { archive } = await archiveTree(treeConfiguration(directory), { tar });
    const lostIn = async (place: string, options: { tar: TarProgram | undefined; owners?: boolean }) => {
      const { lostAttributes } = await extractArchive(Readable.from([archive]), join(place, 'out'), options);
      return lostAttributes.paths.toSorted();
    };
    const directories = [
      await temporaryDirectory(t),
      await temporaryDirectory(t),
      await temporaryDirectory(t),
    ] as const;
    assert.deepEqual(await lostIn(directories[0], { tar }), []);
    assert.deepEqual(await lostIn(directories[1], { tar, owners: false }), ['program: security.capability']);
    const all = ['kept: user.kept', 'line\\nbreak: user.kept', 'open: default ACL', 'program: security.capability'];
    assert.deepEqual(await lostIn(directories[2], { tar: undefined }), [...all, 'shared: ACL']);
    // A file system without any extended attributes.
    execFileSync('mount', ['-t', 'ramfs', 'ramfs', into]);
    scope.after(async () => void execFileSync('umount', ['-l', into]));
    const lost = await lostIn(into, { tar });
    const told = ['kept: user.kept', 'open: ACL', 'program: security.capability', 'shared: ACL'];
    assert.deepEqual(
      lost.filter((each) => !each.startsWith('line')),
      told,
    );
    assert.ok(lost.includes('line: user.kept'), lost.join());
  });
});
