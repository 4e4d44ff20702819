import assert from 'node:assert/strict';
import { appendFile, mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { before, describe, test } from 'node:test';
import { extractArchive } from '../../../core/files/extractArchive.ts';
import { inspectTree } from '../../../core/files/inspectTree.ts';
import { listArchive } from '../../../core/files/listArchive.ts';
import type { TarProgram } from '../../../core/files/tarProgram.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { archiveTree, fingerprint, python, requiredTar, shell, treeConfiguration } from './trees.ts';

let tar: TarProgram;
before(async () => {
  tar = await requiredTar();
});

const noPaths = { count: 0, paths: [] };
/** More than every buffer between tar and the test can hold, so that tar waits in the middle of it. */
const LARGE = 8 * 2 ** 20;

for (const producer of ['GNU tar', 'node-tar'] as const) {
  const chosen = () => (producer === 'GNU tar' ? tar : undefined);

  describe(`a tree archived with ${producer}`, () => {
    test('holds every file, and the report counts what it holds', async (t) => {
      const directory = await temporaryDirectory(t);
      shell(
        directory,
        `mkdir -p deep/er empty; printf hello > deep/er/a; printf 'KEY=1' > .env; chmod 600 .env; chmod 751 deep
         : > zero; touch -d '2020-01-02 03:04:05' zero`,
      );
      const { archive, report } = await archiveTree(treeConfiguration(directory), { tar: chosen() });
      assert.deepEqual(report, {
        files: 3,
        directories: 4,
        links: 0,
        bytes: 10,
        changed: noPaths,
        vanished: noPaths,
        unreadable: noPaths,
        skipped: noPaths,
        outsideLinks: noPaths,
        specialFiles: noPaths,
      });
      const target = join(await temporaryDirectory(t), 'out');
      const { totals } = await extractArchive(Readable.from([archive]), target, { tar });
      assert.equal(totals.files, 3);
      assert.equal(fingerprint(target), fingerprint(directory));
    });

    test('links that lead out of it, FIFOs and devices are told by name', async (t) => {
      const directory = await temporaryDirectory(t);
      shell(directory, 'mkdir d; : > f; ln -s ../f d/in; ln -s ../../f d/out; ln -s /etc/passwd absolute; mkfifo pipe');
      const { report } = await archiveTree(treeConfiguration(directory), { tar: chosen() });
      assert.deepEqual(report.outsideLinks, { count: 2, paths: ['absolute', 'd/out'] });
      // What no archive of node-tar's holds is among what was skipped.
      const [special, skipped] = producer === 'GNU tar' ? [['pipe'], []] : [[], ['pipe']];
      assert.deepEqual([report.specialFiles.paths, report.skipped.paths], [special, skipped]);
    });

    test('what restores work in is in no archive', async (t) => {
      const directory = await temporaryDirectory(t);
      shell(
        directory,
        `mkdir -p .holdfast-restoring-media-1/tree sub/.holdfast-restoring-media-2 .holdfast
         : > .holdfast-restoring-media-1/tree/a; : > sub/.holdfast-restoring-media-2/b; : > sub/kept; : > .holdfast/kept`,
      );
      const { archive, report } = await archiveTree(treeConfiguration(directory), { tar: chosen() });
      assert.equal(report.files, 2);
      const target = join(await temporaryDirectory(t), 'out');
      await extractArchive(Readable.from([archive]), target, { tar });
      const names = shell(target, 'find . -mindepth 1 | LC_ALL=C sort').trim().split('\n');
      assert.deepEqual(names, ['./.holdfast', './.holdfast/kept', './sub', './sub/kept']);
      const { files } = await inspectTree('media', treeConfiguration(directory));
      assert.equal(files, 2);
    });

    test('[10] a file that grows and one that vanishes while read are named', async (t) => {
      const directory = await temporaryDirectory(t);
      await writeFile(join(directory, '1-grows'), Buffer.alloc(LARGE, 1));
      for (const name of ['2-gone', '3-stays']) await writeFile(join(directory, name), name);
      const { archive, report } = await archiveTree(treeConfiguration(directory), {
        tar: chosen(),
        meanwhile: async () => {
          await appendFile(join(directory, '1-grows'), 'more');
          await rm(join(directory, '2-gone'));
        },
      });
      // GNU tar also names the directory that lost an entry.
      assert.deepEqual(
        report.changed.paths.filter((path) => path !== '.'),
        ['1-grows'],
      );
      assert.deepEqual(report.vanished, { count: 1, paths: ['2-gone'] });
      assert.deepEqual([report.files, report.bytes], [2, LARGE + '3-stays'.length]);
      assert.equal((await listArchive(Readable.from([archive]))).files, 2);
    });

    test('[10] onChanged: fail refuses a tree that moved', async (t) => {
      const directory = await temporaryDirectory(t);
      await writeFile(join(directory, 'log'), Buffer.alloc(LARGE, 1));
      const meanwhile = () => appendFile(join(directory, 'log'), 'more');
      await assert.rejects(
        archiveTree(treeConfiguration(directory, { onChanged: 'fail' }), { tar: chosen(), meanwhile }),
        { type: 'FilesUnreadable', retryable: true, message: /changed or vanished.*log/ },
      );
    });

    test('[10] a file that shrinks in the middle is padded and named', async (t) => {
      const directory = await temporaryDirectory(t);
      await writeFile(join(directory, 'data'), Buffer.alloc(LARGE, 1));
      const { archive, report } = await archiveTree(treeConfiguration(directory), {
        tar: chosen(),
        meanwhile: () => truncate(join(directory, 'data'), 2 ** 20 * 6),
      });
      assert.deepEqual(report.changed, { count: 1, paths: ['data'] });
      assert.equal(report.bytes, LARGE);
      assert.equal((await listArchive(Readable.from([archive]))).bytes, LARGE);
    });

    test('[10] an empty tree, as an unmounted one is, violates the floor', async (t) => {
      const directory = await temporaryDirectory(t);
      await assert.rejects(archiveTree(treeConfiguration(directory), { tar: chosen() }), {
        type: 'FloorViolated',
        message: /holds 0 files, fewer than the 1/,
        advice: /mounted/,
      });
      await writeFile(join(directory, 'small'), 'four');
      await assert.rejects(archiveTree(treeConfiguration(directory, { minimumBytes: 5 }), { tar: chosen() }), {
        type: 'FloorViolated',
        message: /holds 4 bytes/,
      });
      const empty = treeConfiguration(await temporaryDirectory(t), { minimumFiles: 0 });
      assert.equal((await archiveTree(empty, { tar: chosen() })).report.files, 0);
    });

    test('[10] a tree that is missing, or is a file, is refused by name', async (t) => {
      const directory = await temporaryDirectory(t);
      await writeFile(join(directory, 'file'), '');
      for (const [name, message] of [
        ['nowhere', /media: .*nowhere does not exist/],
        ['file', /media: .*file is not a directory/],
      ] as const)
        await assert.rejects(archiveTree(treeConfiguration(join(directory, name)), { tar: chosen() }), {
          type: 'FilesUnreadable',
          message,
        });
    });

    test('[11] hard links, symlink loops, FIFOs and sockets are kept or listed', async (t) => {
      const directory = await temporaryDirectory(t);
      shell(directory, `echo one > a; mkdir d; ln a d/b; ln -s loop loop; ln -s ../nowhere d/dangling; mkfifo pipe`);
      python(directory, `import socket; socket.socket(socket.AF_UNIX).bind('sock: et')`);
      const { archive, report } = await archiveTree(treeConfiguration(directory), { tar: chosen() });
      assert.deepEqual([report.files, report.links], [1, 3]);
      const expected = producer === 'GNU tar' ? ['sock: et'] : ['pipe', 'sock: et'];
      assert.deepEqual(report.skipped, { count: expected.length, paths: expected });

      const target = await temporaryDirectory(t);
      await extractArchive(Readable.from([archive]), target, { tar, outsideLinks: true });
      shell(directory, `rm -f pipe 'sock: et'; touch -r ${target} .`);
      assert.equal(fingerprint(target), fingerprint(directory));
      assert.equal(shell(target, 'stat -c %h a').trim(), '2');
    });

    test('[11] odd names survive', async (t) => {
      const directory = await temporaryDirectory(t);
      const deep = Array.from({ length: 12 }, (_, index) => `${index}${'x'.repeat(80)}`).join('/');
      await mkdir(join(directory, deep), { recursive: true });
      const names = [
        '-rf',
        '--checkpoint=1',
        'new\nline',
        'quo"te\'s',
        'back\\slash',
        'colon: s',
        'é ünï',
        'y'.repeat(255),
      ];
      for (const name of [...names, join(deep, 'leaf')]) await writeFile(join(directory, name), name);
      await symlink(deep, join(directory, 'long link'));
      const { archive, report } = await archiveTree(treeConfiguration(directory), { tar: chosen() });
      assert.equal(report.files, names.length + 1);
      const target = await temporaryDirectory(t);
      await extractArchive(Readable.from([archive]), target, { tar });
      assert.equal(fingerprint(target), fingerprint(directory));
    });

    test('excludes leave out by name anywhere and by path from the root, and never the root', async (t) => {
      const directory = await temporaryDirectory(t);
      shell(
        directory,
        `mkdir -p cache/x keep/cache keep/sub .hidden 'w[1]'
         touch a.gz keep/b.gz keep/sub/c.gz.not cache/x/y keep/cache/z keep/sub/d keep/sub/e1 keep/sub/e2 .hidden/h .env 'w[1]/f'`,
      );
      const archived = async (exclude: string[]) => {
        const { archive } = await archiveTree(treeConfiguration(directory, { exclude }), { tar: chosen() });
        const target = await temporaryDirectory(t);
        await extractArchive(Readable.from([archive]), target, { tar });
        return shell(target, 'find . -type f | sort').trim().split('\n');
      };
      assert.deepEqual(await archived(['*.gz', 'cache', 'e[1]', '\\[w*']), [
        './.env',
        './.hidden/h',
        './keep/sub/c.gz.not',
        './keep/sub/d',
        './keep/sub/e2',
        './w[1]/f',
      ]);
      assert.deepEqual(await archived(['/cache', 'keep/s*', '.*', 'w\\[1\\]/', '/w[[]1]']), [
        './a.gz',
        './keep/b.gz',
        './keep/cache/z',
      ]);
      assert.deepEqual(await archived(['./keep/*/[!d]', '*.gz', '.*', 'w?1?']), [
        './cache/x/y',
        './keep/sub/c.gz.not',
        './keep/sub/d',
        './keep/sub/e1',
        './keep/sub/e2',
      ]);
    });

    test('a root that is a symbolic link means the directory it points at', async (t) => {
      const directory = await temporaryDirectory(t);
      shell(directory, 'mkdir releases; echo 1 > releases/file; ln -s releases current');
      const { report } = await archiveTree(treeConfiguration(join(directory, 'current')), { tar: chosen() });
      assert.deepEqual([report.files, report.directories, report.links], [1, 1, 0]);
    });

    test('an abort ends it with the reason given', async (t) => {
      const directory = await temporaryDirectory(t);
      await writeFile(join(directory, 'data'), Buffer.alloc(LARGE, 1));
      const controller = new AbortController();
      const reason = new Error('asked to stop');
      const meanwhile = async () => controller.abort(reason);
      await assert.rejects(
        archiveTree(treeConfiguration(directory), { tar: chosen(), signal: controller.signal, meanwhile }),
        reason,
      );
    });
  });
}
