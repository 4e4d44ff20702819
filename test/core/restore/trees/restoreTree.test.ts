import assert from 'node:assert/strict';
import { appendFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { before, describe, test, type TestContext } from 'node:test';
import { removeTree } from '../../../../core/files/removeTree.ts';
import type { HoldfastError } from '../../../../core/errors.ts';
import type { TarProgram } from '../../../../core/files/tarProgram.ts';
import { compareTree } from '../../../../core/restore/trees/compareTree.ts';
import { dropTreeLeftOvers } from '../../../../core/restore/trees/placeTree.ts';
import { restoreTree } from '../../../../core/restore/trees/restoreTree.ts';
import { findTreeLeftOvers } from '../../../../core/restore/trees/stagingDirectory.ts';
import type { Backend } from '../../../../core/storage/backend.ts';
import { lastFirst, mountSmallDisk, noMounts } from '../../../support/smallDisk.ts';
import { temporaryDirectory } from '../../../support/directories.ts';
import { fingerprint, python, requiredTar, shell } from '../../files/trees.ts';
import { backUpTree, damage, placeOf, storeArchive, type StoredTree } from './treeSupport.ts';

let tar: TarProgram;
before(async () => {
  tar = await requiredTar();
});

/** Everything a tree can hold, but what only GNU tar keeps. */
const CONTENTS = `mkdir -p deep/er empty 'odd "name'; printf hello > deep/er/a; printf 'KEY=1' > .env; chmod 600 .env
  chmod 2751 deep; chmod 666 deep/er/a; : > zero; touch -d '2020-01-02 03:04:05.678' zero; chmod 4755 zero
  head -c 3000000 /dev/urandom > large; ln large deep/hard; ln -s deep/er/a soft; ln -s gone dangling
  printf x > 'odd "name/line
break'; touch -h -d '2021-01-01 00:00:00' soft; touch -d '2019-05-06 07:08:09' empty`;
const ONLY_GNU = `truncate -s 5M hole; printf end >> hole; dd if=/dev/zero of=hole bs=1 seek=2000000 count=1 conv=notrunc 2>&1
  chown 1234:4321 zero; chown -h 1234:1234 soft`;
const ATTRIBUTES = `
import os
os.setxattr('zero', 'user.kept', b'value')
os.setxattr('zero', 'system.posix_acl_access', bytes.fromhex('0200000001000600ffffffff02000400d204000004000400ffffffff10000600ffffffff20000400ffffffff'))`;
const SHOW_ATTRIBUTES = `
import os
print({name: os.getxattr('zero', name).hex() for name in sorted(os.listxattr('zero'))})`;

async function liveTree(context: TestContext, script = CONTENTS): Promise<string> {
  const path = join(await temporaryDirectory(context), 'media');
  await mkdir(path, { mode: 0o755 });
  shell(path, script);
  return path;
}

async function namesBeside(path: string): Promise<string[]> {
  return (await readdir(dirname(path))).toSorted();
}

for (const program of ['GNU tar', 'node-tar'] as const) {
  const chosen = () => (program === 'GNU tar' ? tar : undefined);

  describe(`a tree restored with ${program}`, () => {
    test('is what was backed up, in every name, kind, mode, time, owner and byte', async (context) => {
      const path = await liveTree(context, program === 'GNU tar' ? `${CONTENTS}; ${ONLY_GNU}` : CONTENTS);
      if (program === 'GNU tar') python(path, ATTRIBUTES);
      const backup = await backUpTree(context, path, { tar: chosen() });
      const restored = await restoreTree({ ...backup, tar: chosen(), place: placeOf(path) });
      assert.equal(restored.backend, 'copy-1');
      assert.deepEqual(restored.leftOut.outsideLinks.paths, []);
      if (program === 'GNU tar') {
        assert.equal(fingerprint(restored.directory), fingerprint(path));
        assert.equal(python(restored.directory, SHOW_ATTRIBUTES), python(path, SHOW_ATTRIBUTES));
        const { blocks } = await stat(join(restored.directory, 'hole'));
        assert.ok(blocks * 512 < 1_000_000, 'the holes are holes again');
      }
      const options = { ...backup, tar: chosen(), tree: 'media', directory: restored.directory };
      const comparison = await compareTree(options);
      assert.deepEqual(comparison.differences, []);
      assert.equal(comparison.equal, true);
      const entries = shell(path, 'find . -printf x').length;
      assert.equal(comparison.compared.entries, entries);
      assert.ok(comparison.compared.bytes >= 3_000_000);
    });

    test('one that differs is told by name, whatever differs', async (context) => {
      const path = await liveTree(context);
      const backup = await backUpTree(context, path, { tar: chosen() });
      const { directory } = await restoreTree({ ...backup, tar: chosen(), place: placeOf(path) });
      shell(
        directory,
        `printf hEllo > deep/er/a; rm .env; printf more > extra; mkdir -p surplus/dir; chmod 640 zero
         rm large; cp deep/hard large; ln -sfn other soft
         rm dangling; printf file > dangling; chmod 700 empty; touch -d 2000-01-01 deep/hard`,
      );
      const isRoot = process.getuid?.() === 0;
      if (isRoot) shell(directory, 'chown 1234 deep/er');
      const { equal, differences, differenceCount } = await compareTree({
        ...backup,
        tar: chosen(),
        tree: 'media',
        directory,
      });
      assert.equal(equal, false);
      const told = differences.map(({ object, what }) => `${object} ${what}`);
      const expected = [
        '.env presence',
        'dangling kind',
        'deep/er/a contents',
        ...(isRoot ? ['deep/er owner'] : []),

        'empty mode',
        'extra presence',
        'large target',
        'soft target',
        'surplus presence',
        'surplus/dir presence',
        'zero mode',
      ];
      for (const each of expected) assert.ok(told.includes(each), `${each} is not in ${told.join(', ')}`);
      const others = told.filter((each) => !expected.includes(each) && !each.endsWith(' time'));
      assert.deepEqual(others, []);
      const times = differences.filter(({ what }) => what === 'time').map(({ object }) => object);
      assert.ok(times.includes('deep/hard'));
      assert.equal(differenceCount, differences.length);
    });

    test('single files and folders come with the folders above them, and nothing else', async (context) => {
      const path = await liveTree(context);
      const backup = await backUpTree(context, path, { tar: chosen() });
      const paths = ['deep/er/', './zero', 'odd "name', 'deep/er/a'];
      const place = placeOf(path, { mode: 'beside', paths });
      const { directory } = await restoreTree({ ...backup, tar: chosen(), place });
      const names = (await readdir(directory, { recursive: true })).toSorted();
      assert.deepEqual(names, ['deep', 'deep/er', 'deep/er/a', 'odd "name', 'odd "name/line\nbreak', 'zero']);
      const options = { ...backup, tar: chosen(), tree: 'media', directory, paths };
      assert.deepEqual((await compareTree(options)).differences, []);
      await appendFile(join(directory, 'deep/er/a'), '!');
      await writeFile(join(directory, 'deep/new'), '');
      const told = (await compareTree(options)).differences.map(({ object, what }) => `${object} ${what}`);
      assert.ok(told.includes('deep/er/a contents') && told.includes('deep/new presence'), told.join());
    });

    test('a further name of a file comes with the contents that the archive holds under the first', async (context) => {
      const path = await liveTree(context, 'mkdir -p a/b z; printf hello > a/b/first; ln a/b/first z/second');
      const backup = await backUpTree(context, path, { tar: chosen() });
      const place = placeOf(path, { mode: 'beside', paths: ['z/second'] });
      const { directory } = await restoreTree({ ...backup, tar: chosen(), place });
      assert.equal(shell(directory, 'find . -type f; cat z/second'), './z/second\nhello');
      assert.deepEqual(await readdir(directory), ['z']);
      const options = { ...backup, tar: chosen(), tree: 'media', directory, paths: ['z/second'] };
      assert.deepEqual((await compareTree(options)).differences, []);
      await writeFile(join(directory, 'z/second'), 'other');
      assert.deepEqual(
        (await compareTree(options)).differences.map(({ what }) => what).filter((what) => what !== 'time'),
        ['contents'],
      );
    });
  });
}

test('[26] a path that the backup does not have is refused by name, and nothing is left', async (context) => {
  const path = await liveTree(context);
  const backup = await backUpTree(context, path, { tar });
  const place = placeOf(path, { paths: ['zero', 'deep/er/b', 'soft/x'] });
  await assert.rejects(restoreTree({ ...backup, tar, place }), {
    type: 'InvalidInput',
    message: /has no "deep\/er\/b", "soft\/x"/,
  });
  for (const wrong of ['/etc/passwd', '../x', 'a/../../x', '', '.']) {
    const refused = placeOf(path, { paths: [wrong] });
    await assert.rejects(restoreTree({ ...backup, tar, place: refused }), { type: 'InvalidInput' });
  }
  await assert.rejects(restoreTree({ ...backup, tar, place: placeOf(path, { tree: 'logs' }) }), {
    type: 'InvalidInput',
    message: /no part logs/,
  });
  assert.deepEqual(await namesBeside(path), ['media']);
  assert.deepEqual(await findTreeLeftOvers(path), []);
});

test('[16] a copy found bad in the middle is passed over, and nothing of it is in the tree', async (context) => {
  const path = await liveTree(context);
  const backup = await backUpTree(context, path, { tar, copies: 3 });
  await damage(backup, 0);
  await damage(backup, 1);
  const restored = await restoreTree({ ...backup, tar, place: placeOf(path) });
  assert.equal(restored.backend, 'copy-3');
  assert.deepEqual(
    restored.passedOver.map(({ backend }) => backend),
    ['copy-1', 'copy-2'],
  );
  assert.equal(fingerprint(restored.directory), fingerprint(path));
  await damage(backup, 2);
  await assert.rejects(restoreTree({ ...backup, tar, place: placeOf(path, { mark: 'test/2' }) }), {
    type: 'ObjectDamaged',
  });
  await dropTreeLeftOvers(placeOf(path));
  assert.deepEqual(await namesBeside(path), ['media']);
});

/** A copy that hands out nothing more of an object after its first bytes, and tells when it has come to that. */
function stallingCopy(backup: StoredTree) {
  const reached = Promise.withResolvers<void>();
  const [copy] = backup.copies;
  if (!copy) throw new TypeError('there is a copy');
  const open = async (): Promise<Backend> => {
    const backend = await copy.open();
    return {
      ...backend,
      get: async (key, options) => stalling(await backend.get(key, options), options?.signal),
    };
  };
  const stalling = (body: Readable, signal: AbortSignal | undefined) =>
    Readable.from(
      (async function* stall() {
        for await (const chunk of body) {
          yield (chunk as Buffer).subarray(0, 100_000);
          reached.resolve();
          await once(signal ?? new EventTarget(), 'abort');
        }
      })(),
    );
  return { copies: [{ backend: 'stalling', open }], reached: reached.promise };
}

test('[27] an abort in the middle leaves nothing', async (context) => {
  const path = await liveTree(context);
  const backup = await backUpTree(context, path, { tar });
  const { copies, reached } = stallingCopy(backup);
  const controller = new AbortController();
  const reason = new Error('asked to stop');
  const running = restoreTree({ ...backup, copies, tar, place: placeOf(path), signal: controller.signal });
  await reached;
  controller.abort(reason);
  await assert.rejects(running, reason);
  assert.deepEqual(await namesBeside(path), ['media']);
});

test('[27] what a killed try left is replaced by the next one of the same restore, and only by that', async (context) => {
  const path = await liveTree(context);
  const backup = await backUpTree(context, path, { tar });
  const { copies, reached } = stallingCopy(backup);
  // It goes on only when all is over, as one that was killed.
  const killed = new AbortController();
  const signal = killed.signal;
  const late = restoreTree({ ...backup, copies, tar, place: placeOf(path), signal }).catch(() => undefined);
  await reached;
  const [left] = await findTreeLeftOvers(path);
  assert.deepEqual(left?.place, placeOf(path));
  const other = placeOf(path, { mark: 'test/2', id: 'r2' });
  await restoreTree({ ...backup, tar, place: other });
  const restored = await restoreTree({ ...backup, tar, place: placeOf(path) });
  assert.equal(fingerprint(restored.directory), fingerprint(path));
  assert.deepEqual(
    (await readdir(left?.directory ?? '')).filter((name) => name.endsWith('.partial')),
    [],
  );
  // One that was finished is not done again.
  await writeFile(join(restored.directory, 'sign'), '');
  assert.deepEqual(await restoreTree({ ...backup, tar, place: placeOf(path) }), restored);
  assert.equal(await readFile(join(restored.directory, 'sign'), 'utf8'), '');
  await dropTreeLeftOvers(placeOf(path));
  assert.equal((await findTreeLeftOvers(path)).length, 1);
  await dropTreeLeftOvers(other);
  assert.deepEqual(await namesBeside(path), ['media']);
  killed.abort();
  await late;
});

test('[27] a try that comes back leaves its successor alone', async (context) => {
  const path = await liveTree(context);
  const backup = await backUpTree(context, path, { tar });
  const { copies, reached } = stallingCopy(backup);
  const controller = new AbortController();
  const late = restoreTree({ ...backup, copies, tar, place: placeOf(path), signal: controller.signal });
  await reached;
  const restored = await restoreTree({ ...backup, tar, place: placeOf(path) });
  controller.abort(new Error('lost its host'));
  await assert.rejects(late);
  assert.equal(fingerprint(restored.directory), fingerprint(path));
});

test('[13] nobody else can look into a tree that is being restored', async (context) => {
  const path = await liveTree(context);
  const backup = await backUpTree(context, path, { tar });
  const { directory } = await restoreTree({ ...backup, tar, place: placeOf(path) });
  assert.equal((await stat(dirname(directory))).mode & 0o777, 0o700);
  assert.equal((await stat(directory)).mode & 0o777, 0o755);
});

test('names that are no UTF-8, and folders without any permission, are removed with the rest', async (context) => {
  const path = await liveTree(context, 'mkdir -p shut/in; chmod 0 shut');
  python(path, `import os\nos.mkdir(b'not-\\xff-utf8'); open(b'not-\\xff-utf8/\\xfe', 'w')`);
  const backup = await backUpTree(context, path, { tar });
  const { directory } = await restoreTree({ ...backup, tar, place: placeOf(path) });
  const options = { ...backup, tar, tree: 'media', directory };
  assert.deepEqual((await compareTree(options)).differences, []);
  await dropTreeLeftOvers(placeOf(path));
  assert.deepEqual(await namesBeside(path), ['media']);
  shell(dirname(path), 'chmod 700 media/shut; rm -r media');
});

test('whoever is not root can remove what he may not write to', async (context) => {
  const directory = await temporaryDirectory(context);
  shell(
    directory,
    'mkdir -p tree/shut/in tree/sealed; touch tree/sealed/file; chmod 0 tree/shut; chmod 555 tree/sealed',
  );
  const isRoot = process.getuid?.() === 0;
  if (isRoot) shell(directory, 'chown -R 65534 . && chmod 711 .');
  try {
    if (isRoot) process.seteuid?.(65534);
    await removeTree(join(directory, 'tree'));
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
  assert.deepEqual(await readdir(directory), []);
});

test('[28] an archive that holds more than its manifest tells of is refused, and nothing of it is left', async (context) => {
  const path = await liveTree(context);
  const backup = await backUpTree(context, path, { tar });
  const told = backup.manifest.parts[0]?.tree;
  assert.ok(told);
  const elsewhere = await temporaryDirectory(context);
  const bytes = Buffer.from(await readArchive(backup));
  for (const field of ['files', 'directories', 'links', 'bytes'] as const) {
    const bomb = await storeArchive(context, bytes, { ...told, [field]: told[field] - 1 });
    await assert.rejects(restoreTree({ ...bomb, tar, place: placeOf(join(elsewhere, 'media')) }), {
      type: 'RefusedForSafety',
      message: new RegExp(`more than the ${told[field] - 1} ${field}`),
    });
    const short = await storeArchive(context, bytes, { ...told, [field]: told[field] + 1 });
    await assert.rejects(restoreTree({ ...short, tar, place: placeOf(join(elsewhere, 'media')) }), {
      type: 'ObjectDamaged',
    });
  }
  assert.deepEqual(await readdir(elsewhere), []);
});

async function readArchive(backup: StoredTree): Promise<Buffer> {
  const { partBytes } = await import('../../../../core/repository/extractPart.ts');
  const [copy] = backup.copies;
  const [part] = backup.manifest.parts;
  if (!copy || !part) throw new TypeError('there is one');
  const chunks: Buffer[] = [];
  const source = { ...backup, backend: await copy.open(), part, pgRestore: async () => '' };
  for await (const chunk of partBytes(source, 'tar')) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

test('[11] a name that is no UTF-8 is taken as messages show it', async (context) => {
  const path = await liveTree(
    context,
    String.raw`printf x > "$(printf 'bad\377name')"; printf y > 'back\name'; echo > other`,
  );
  const backup = await backUpTree(context, path, { tar });
  const paths = [String.raw`bad\377name`, String.raw`back\name`];
  const place = placeOf(path, { mode: 'beside', paths });
  const { directory } = await restoreTree({ ...backup, tar, place });
  assert.equal(shell(directory, 'ls -b; cat bad* back*'), 'back\\\\name\nbad\\377name\nxy');
  const comparison = await compareTree({ ...backup, tar, tree: 'media', directory, paths });
  assert.deepEqual([comparison.differences, comparison.compared.files], [[], 2]);
  const inPlace = placeOf(path, { id: 'r2', mark: 'test/2', paths });
  await assert.rejects(restoreTree({ ...backup, tar, place: inPlace }), {
    type: 'RefusedForSafety',
    message: /^bad\\377name of tree media cannot be put in place by itself/,
  });
  await assert.rejects(
    restoreTree({ ...backup, tar, place: { ...place, mark: 'test/3', id: 'r3', paths: ['bad\ufffdname'] } }),
    {
      type: 'InvalidInput',
      advice: /three octal digits/,
    },
  );
});

for (const wanted of ['first', 'second'])
  test(`the other names of a file that is restored by its name ${wanted} are told`, async (context) => {
    const path = await liveTree(
      context,
      'echo x > first; ln first second; mkdir -p sub; ln first sub/third; echo > other',
    );
    const backup = await backUpTree(context, path, { tar });
    const compared = async (paths: string[] | undefined, id: string) => {
      const place = placeOf(path, { mode: 'beside', paths, id, mark: `test/${id}` });
      const { directory } = await restoreTree({ ...backup, tar, place });
      return compareTree({ ...backup, tar, tree: 'media', directory, paths });
    };
    const others = ['first', 'second', 'sub/third'].filter((name) => name !== wanted).join(', ');
    const { notices, equal } = await compared([wanted], 'r1');
    assert.deepEqual([equal, notices.length], [true, 1]);
    assert.ok(notices[0]?.endsWith(`have 2 other names (hard links), which were not restored: ${others}`), notices[0]);
    assert.deepEqual((await compared(['first', 'second', 'sub'], 'r2')).notices, []);
    assert.deepEqual((await compared(undefined, 'r3')).notices, []);
  });

test('where there is no room, the directory to look at is one that stays', { skip: noMounts }, async (context) => {
  const scope = lastFirst(context);
  const path = await liveTree(context, 'head -c 3000000 /dev/urandom > large');
  const backup = await backUpTree(context, path, { tar });
  const disk = await temporaryDirectory(scope);
  mountSmallDisk(scope, disk, 1);
  const place = placeOf(join(disk, 'media'), { mode: 'new' });
  await assert.rejects(restoreTree({ ...backup, tar, place }), ({ message, advice }: HoldfastError) => {
    assert.match(message, /has no room for the archive: .*(No space left on device|Wrote only)/);
    assert.ok(advice?.includes(`df ${disk}\``), advice);
    return true;
  });
  assert.deepEqual(await readdir(disk), []);
});
