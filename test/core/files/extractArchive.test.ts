import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { before, describe, test } from 'node:test';
import { Header, Pax, type HeaderData } from 'tar';
import { extractArchive } from '../../../core/files/extractArchive.ts';
import { listArchive } from '../../../core/files/listArchive.ts';
import type { TarProgram } from '../../../core/files/tarProgram.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { archiveTree, requiredTar, shell, treeConfiguration } from './trees.ts';

let tar: TarProgram;
before(async () => {
  tar = await requiredTar();
});

function entry(data: HeaderData, content = ''): Buffer {
  const block = Buffer.alloc(512);
  const fields = { mode: 0o644, uid: 0, gid: 0, mtime: new Date(0), size: content.length, ...data };
  const header = new Header(fields);
  header.encode(block);
  const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  body.write(content);
  return Buffer.concat([header.needPax ? new Pax(fields).encode() : Buffer.alloc(0), block, body]);
}

function archiveOf(...entries: Buffer[]): Buffer {
  return Buffer.concat([...entries, Buffer.alloc(1024)]);
}

/** In pieces that never fall on a block's border. */
function inPieces(archive: Buffer, length = 333): Readable {
  const pieces = Array.from({ length: Math.ceil(archive.length / length) }, (_, index) =>
    archive.subarray(index * length, (index + 1) * length),
  );
  return Readable.from(pieces);
}

/** One extended header of its own, for the entry behind it. */
function paxHeader(records: Readonly<Record<string, string>>): Buffer {
  const lines = Object.entries(records).map(([keyword, value]) => {
    const rest = ` ${keyword}=${value}\n`;
    // The number counts its own digits; all here are of two.
    return `${rest.length + 2}${rest}`;
  });
  const body = lines.join('');
  const block = Buffer.alloc(512);
  new Header({ path: 'PaxHeader/x', type: 'ExtendedHeader', mode: 0o644, uid: 0, gid: 0, size: body.length }).encode(
    block,
  );
  const padded = Buffer.alloc(Math.ceil(body.length / 512) * 512);
  padded.write(body);
  return Buffer.concat([block, padded]);
}

const LONG = `${'d'.repeat(120)}/`.repeat(3);
const hostile: Readonly<Record<string, Buffer>> = {
  'a name that climbs': archiveOf(entry({ path: 'a/../../evil', type: 'File' }, 'x')),
  'a long name that climbs': archiveOf(entry({ path: `${LONG}../../../../evil`, type: 'File' }, 'x')),
  'an absolute name': archiveOf(entry({ path: '/tmp/holdfast-evil', type: 'File' }, 'x')),
  'a hard link out': archiveOf(entry({ path: 'evil', type: 'Link', linkpath: '../evil' })),
  'an absolute hard link': archiveOf(entry({ path: 'evil', type: 'Link', linkpath: '/etc/hostname' })),
  'a file through a symbolic link': archiveOf(
    entry({ path: 'link', type: 'SymbolicLink', linkpath: '..' }),
    entry({ path: 'link/evil', type: 'File' }, 'x'),
  ),
  'a file over a symbolic link': archiveOf(
    entry({ path: './link', type: 'SymbolicLink', linkpath: '../evil' }),
    entry({ path: 'link', type: 'File' }, 'x'),
  ),
  'a hard link through a symbolic link': archiveOf(
    entry({ path: 'link', type: 'SymbolicLink', linkpath: '..' }),
    entry({ path: 'evil', type: 'Link', linkpath: 'link/evil' }),
  ),
  'a link in place of the root': archiveOf(entry({ path: './', type: 'SymbolicLink', linkpath: '..' })),
};

for (const program of ['GNU tar', 'node-tar'] as const) {
  const chosen = () => (program === 'GNU tar' ? tar : undefined);

  describe(`extracting with ${program}`, () => {
    for (const [what, archive] of Object.entries(hostile)) {
      test(`[28] ${what} is refused`, async (t) => {
        const parent = await temporaryDirectory(t);
        for (const outsideLinks of [false, true])
          await assert.rejects(
            extractArchive(inPieces(archive), join(parent, `out-${outsideLinks}`), { tar: chosen(), outsideLinks }),
            { type: 'RefusedForSafety', message: /the archive is refused/ },
          );
        assert.equal(existsSync(join(parent, 'evil')), false);
        assert.equal(existsSync('/tmp/holdfast-evil'), false);
      });
    }

    test('[28] links that lead out and special files are left out and listed, unless asked for', async (t) => {
      const directory = await temporaryDirectory(t);
      shell(
        directory,
        `mkdir -p d/e; echo x > f; ln -s f good; ln -s ../../f d/e/good; ln -s /etc/hostname absolute
         ln -s ../x d/../up; ln -s e/../../.. d/winding; mkfifo pipe`,
      );
      const { archive } = await archiveTree(treeConfiguration(directory), { tar });
      const safe = join(await temporaryDirectory(t), 'safe');
      const { leftOut, totals } = await extractArchive(inPieces(archive), safe, { tar: chosen() });
      assert.deepEqual(leftOut, {
        outsideLinks: { count: 3, paths: ['absolute', 'd/winding', 'up'] },
        specialFiles: { count: 1, paths: ['pipe'] },
        longPaths: { count: 0, paths: [] },
      });
      assert.deepEqual([totals.files, totals.links], [1, 2]);
      assert.deepEqual((await readdir(safe, { recursive: true })).toSorted(), ['d', 'd/e', 'd/e/good', 'f', 'good']);

      const whole = join(await temporaryDirectory(t), 'whole');
      const asked = { tar: chosen(), outsideLinks: true, specialFiles: true };
      await extractArchive(inPieces(archive), whole, asked);
      const names = (await readdir(whole)).toSorted();
      const kept = program === 'GNU tar' && process.getuid?.() === 0 ? ['pipe'] : [];
      assert.deepEqual(names, ['absolute', 'd', 'f', 'good', ...kept, 'up']);
    });

    test('[28] a further name of a link that leads out is left out with it', async (t) => {
      const directory = await temporaryDirectory(t);
      shell(directory, `ln -s /etc/hostname one; ln -P one two 2>/dev/null || ln one two; echo x > three`);
      const { archive } = await archiveTree(treeConfiguration(directory), { tar: chosen() });
      const out = join(await temporaryDirectory(t), 'out');
      const { leftOut } = await extractArchive(inPieces(archive), out, { tar: chosen() });
      assert.deepEqual(leftOut.outsideLinks, { count: 2, paths: ['one', 'two'] });
      assert.deepEqual(await readdir(out), ['three']);
    });

    test('[28] devices are left out and listed', async (t) => {
      const devices = archiveOf(
        entry({ path: 'disk', type: 'BlockDevice', devmaj: 8, devmin: 0 }),
        entry({ path: 'null', type: 'CharacterDevice', devmaj: 1, devmin: 3 }),
        entry({ path: 'again', type: 'Link', linkpath: 'disk' }),
        entry({ path: 'f', type: 'File' }, 'x'),
      );
      const out = join(await temporaryDirectory(t), 'out');
      const { leftOut } = await extractArchive(inPieces(devices), out, { tar: chosen() });
      assert.deepEqual(leftOut.specialFiles.paths, ['disk', 'null', 'again']);
      assert.deepEqual(await readdir(out), ['f']);
    });

    test('[28] an extended header with another name than the plain one deceives nobody', async (t) => {
      const parent = await temporaryDirectory(t);
      for (const records of [{ path: '../evil' }, { path: '/tmp/holdfast-evil' }]) {
        const archive = archiveOf(paxHeader(records), entry({ path: 'harmless', type: 'File' }, 'x'));
        await assert.rejects(extractArchive(inPieces(archive), join(parent, 'out'), { tar: chosen() }), {
          type: 'RefusedForSafety',
        });
        assert.deepEqual(await readdir(join(parent, 'out')), []);
      }
      const link = archiveOf(
        paxHeader({ linkpath: '../evil' }),
        entry({ path: 'l', type: 'Link', linkpath: 'harmless' }),
      );
      await assert.rejects(extractArchive(inPieces(link), join(parent, 'out'), { tar: chosen() }), {
        type: 'RefusedForSafety',
      });
    });

    test('[28] a file larger than all that the manifest tells of, and entries without end, are refused', async (t) => {
      const expected = { files: 2, directories: 0, links: 1, bytes: 10 };
      const bombs: Readonly<Record<string, Buffer>> = {
        'more than the 10 bytes': archiveOf(entry({ path: 'a', type: 'File' }, 'x'.repeat(11))),
        'than the 10 bytes that': archiveOf(
          paxHeader({
            'GNU.sparse.major': '1',
            'GNU.sparse.minor': '0',
            'GNU.sparse.name': 'hole',
            'GNU.sparse.realsize': '8000000000000',
          }),
          entry({ path: 'hole', type: 'File' }, '1\n8000000000000\n0\n'.padEnd(512, '\0')),
        ),
        'more than the 2 files': archiveOf(
          ...Array.from({ length: 500 }, (_, i) => entry({ path: `${i}`, type: 'File' })),
        ),
        'more than the 0 directories': archiveOf(entry({ path: 'd/', type: 'Directory' })),
        'more than the 1 links': archiveOf(
          ...Array.from({ length: 500 }, (_, i) => entry({ path: `${i}`, type: 'SymbolicLink', linkpath: 'x' })),
        ),
      };
      for (const [what, archive] of Object.entries(bombs)) {
        const out = join(await temporaryDirectory(t), 'out');
        await assert.rejects(extractArchive(inPieces(archive), out, { tar: chosen(), expected }), {
          type: 'RefusedForSafety',
          message: new RegExp(what),
        });
        assert.ok((await readdir(out)).length <= 2, what);
      }
    });

    test(
      '[28] what belongs to another user now does not run as him',
      { skip: process.getuid?.() !== 0 && 'needs root' },
      async (t) => {
        const directory = await temporaryDirectory(t);
        shell(directory, 'touch theirs mine; chown 1234:4321 theirs; chmod 6755 *');
        const { archive } = await archiveTree(treeConfiguration(directory), { tar });
        const extracted = async (owners: boolean) => {
          const target = join(await temporaryDirectory(t), 'out');
          const { withoutSetIds } = await extractArchive(inPieces(archive), target, { tar: chosen(), owners });
          return { told: withoutSetIds.paths, modes: shell(target, "stat -c '%a %n' *") };
        };
        assert.deepEqual(await extracted(false), { told: ['theirs'], modes: '6755 mine\n755 theirs\n' });
        assert.deepEqual(await extracted(true), { told: [], modes: '6755 mine\n6755 theirs\n' });
      },
    );

    test('[28] a directory that holds something is left alone', async (t) => {
      const directory = await temporaryDirectory(t);
      await writeFile(join(directory, 'f'), 'mine');
      const archive = archiveOf(entry({ path: 'f', type: 'File' }, 'theirs'));
      await assert.rejects(extractArchive(inPieces(archive), directory, { tar: chosen() }), {
        type: 'RefusedForSafety',
        message: /not empty/,
      });
      assert.equal(await readFile(join(directory, 'f'), 'utf8'), 'mine');
    });

    test('[13] a directory it makes is private', async (t) => {
      const target = join(await temporaryDirectory(t), 'new');
      await extractArchive(inPieces(archiveOf(entry({ path: 'f', type: 'File' }, 'x'))), target, { tar: chosen() });
      assert.equal((await stat(target)).mode & 0o777, 0o700);
    });

    test('[16] a cut or damaged archive is called damaged', async (t) => {
      const whole = archiveOf(
        entry({ path: 'one', type: 'File' }, 'x'.repeat(3000)),
        entry({ path: 'two', type: 'File' }, 'y'),
      );
      for (const archive of damagedVersions(whole))
        await assert.rejects(extractArchive(inPieces(archive), await temporaryDirectory(t), { tar: chosen() }), {
          type: 'ObjectDamaged',
        });
    });

    test('an abort ends it with the reason given', async (t) => {
      const controller = new AbortController();
      const reason = new Error('asked to stop');
      const endless = new Readable({ read: () => undefined });
      setTimeout(() => controller.abort(reason), 50);
      await assert.rejects(
        extractArchive(endless, await temporaryDirectory(t), { tar: chosen(), signal: controller.signal }),
        reason,
      );
    });
  });
}

function damagedVersions(whole: Buffer): Buffer[] {
  const flipped = Buffer.from(whole);
  flipped[3] = (flipped[3] ?? 0) ^ 1;
  return [
    whole.subarray(0, 2000),
    whole.subarray(0, whole.length - 1024),
    whole.subarray(0, 700),
    Buffer.alloc(0),
    flipped,
    Buffer.concat([whole, Buffer.from('more')]),
    Buffer.from('this is no archive at all'.repeat(100)),
  ];
}

describe('listing an archive', () => {
  test('reads all of it and counts by kind', async (t) => {
    const directory = await temporaryDirectory(t);
    shell(directory, 'mkdir d; printf 12345 > d/f; ln d/f hard; ln -s f soft; mkfifo pipe; truncate -s 1M hole');
    const { archive } = await archiveTree(treeConfiguration(directory), { tar });
    const expected = { entries: 7, files: 2, directories: 2, links: 2, special: 1, bytes: 5 + 2 ** 20 };
    for (const length of [1, 333, 512, 1 << 20])
      assert.deepEqual(await listArchive(inPieces(archive, length)), expected);
  });

  test('[16] a cut or damaged archive is called damaged', async () => {
    const whole = archiveOf(
      entry({ path: 'one', type: 'File' }, 'x'.repeat(3000)),
      entry({ path: LONG, type: 'File' }, 'y'),
    );
    assert.equal((await listArchive(inPieces(whole))).files, 2);
    for (const archive of damagedVersions(whole))
      await assert.rejects(listArchive(inPieces(archive)), { type: 'ObjectDamaged' });
  });

  test("the stream's own error is passed on", async () => {
    const wrongTag = new Error('wrong tag');
    const failing = Readable.from(
      (function* failsInTheMiddle() {
        yield Buffer.alloc(100);
        throw wrongTag;
      })(),
    );
    await assert.rejects(listArchive(failing), wrongTag);
  });
});
