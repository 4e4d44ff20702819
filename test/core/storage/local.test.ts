import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFile,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rmdir,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { openBackend } from '../../../core/storage/openBackend.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { collect, hashesOf, patterned, readAll, sendSegments } from '../../support/segments.ts';
import { conformsToContract, rejects } from './conformance.ts';

const SEGMENT = 2 ** 20;

conformsToContract('local', async (t) => {
  const path = await temporaryDirectory(t);
  return () => openBackend('disk', { type: 'local', path });
});

test('a root that is missing or no directory is refused and not created', async (t) => {
  const parent = await temporaryDirectory(t);
  await writeFile(join(parent, 'file'), 'x');
  for (const name of ['missing', 'file']) {
    const backend = openBackend('disk', { type: 'local', path: join(parent, name) });
    const calls = [
      () => backend.put('key', Buffer.from('x')),
      () => backend.beginUpload('key', { segmentSize: SEGMENT }),
      () => backend.get('key'),
      () => backend.head('key'),
      () => backend.delete('key'),
      () => backend.capacity(),
      () => collect(backend.list('')),
      () => collect(backend.listUploads('')),
      () => collect(backend.listDirectories('')),
    ];
    for (const call of calls) await rejects(call(), 'BackendRefused', join(parent, name));
  }
  assert.deepEqual(await readdir(parent), ['file']);
});

test('[13] files are 0600 and folders 0700 whatever the umask is, and no temporary file stays', async (t) => {
  const { backend, path } = await localBackend(t);
  for (const umask of [0, 0o777]) {
    const before = process.umask(umask);
    try {
      await backend.put(`put/${umask}/one`, Buffer.from('x'));
      const { upload } = await sendSegments(backend, `upload/${umask}/two`, patterned(10, 1), SEGMENT);
      await upload.complete({ segments: 1, bytes: 10 });
      await sendSegments(backend, `pending/${umask}/three`, patterned(10, 1), SEGMENT);
    } finally {
      process.umask(before);
    }
  }
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  assert.equal(entries.filter((entry) => entry.isFile()).length, 4 + 2 * 3);
  for (const entry of entries) {
    const { mode } = await lstat(join(entry.parentPath, entry.name));
    assert.equal((mode & 0o777).toString(8), entry.isDirectory() ? '700' : '600', entry.name);
  }
  for (const upload of await collect(backend.listUploads(''))) await backend.abortUpload(upload);
  assert.deepEqual((await readdir(path)).toSorted(), ['put', 'upload']);
});

test('no symbolic link below the root is followed', async (t) => {
  const { backend, path } = await localBackend(t);
  const outside = await temporaryDirectory(t);
  await writeFile(join(outside, 'secret'), 'untouched');
  await symlink(outside, join(path, 'folder'));
  await symlink(join(outside, 'secret'), join(path, 'file'));
  await mkdir(join(path, 'inner'));
  await symlink(outside, join(path, 'inner', 'folder'));
  for (const key of ['folder/secret', 'folder/new', 'inner/folder/secret']) {
    await rejects(backend.put(key, Buffer.from('x')), 'BackendRefused', 'symbolic link');
    await rejects(backend.get(key), 'BackendRefused', 'symbolic link');
    await rejects(backend.head(key), 'BackendRefused', 'symbolic link');
    await rejects(backend.delete(key), 'BackendRefused', 'symbolic link');
    assert.deepEqual(await collect(backend.list(key)), []);
  }
  await rejects(backend.get('file'), 'BackendRefused', 'symbolic link');
  await rejects(collect(backend.listDirectories('folder/')), 'BackendRefused', 'symbolic link');
  assert.deepEqual(await collect(backend.list('')), []);
  assert.deepEqual(await collect(backend.listDirectories('')), ['inner']);
  // A link in the object's own place is replaced, not written through.
  await backend.put('file', Buffer.from('ours'));
  assert.equal((await readAll(await backend.get('file'))).toString(), 'ours');
  assert.equal(await readFile(join(outside, 'secret'), 'utf8'), 'untouched');
  assert.deepEqual(await readdir(outside), ['secret']);

  const linkedUploads = await localBackend(t);
  await symlink(outside, join(linkedUploads.path, '.holdfast'));
  await rejects(linkedUploads.backend.put('key', Buffer.from('x')), 'BackendRefused', 'symbolic link');
  assert.deepEqual(await readdir(outside), ['secret']);
});

test('[13] an upload that died before it noted its key belongs to every prefix once it is old', async (t) => {
  const { backend, path } = await localBackend(t);
  const folders = ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'];
  for (const folder of folders) await mkdir(join(path, '.holdfast', 'uploads', folder), { recursive: true });
  const longAgo = new Date(Date.now() - 60_000);
  await utimes(join(path, '.holdfast', 'uploads', folders[0] ?? ''), longAgo, longAgo);
  const pending = await collect(backend.listUploads('shop/'));
  assert.deepEqual(
    pending.map(({ locator }) => locator),
    [folders[0]],
  );
  for (const upload of pending) await backend.abortUpload(upload);
  assert.deepEqual(await readdir(join(path, '.holdfast', 'uploads')), [folders[1]]);
});

test('the folder of uploads is out of reach', async (t) => {
  const { backend } = await localBackend(t);
  await sendSegments(backend, 'key', patterned(10, 1), SEGMENT);
  assert.deepEqual(await collect(backend.list('')), []);
  assert.deepEqual(await collect(backend.listDirectories('')), []);
  await rejects(backend.put('.holdfast/uploads/x', Buffer.from('x')), 'InvalidInput', 'reserved');
});

test('a segment whose bytes never reached the disk is not taken for finished', async (t) => {
  const { backend, path } = await localBackend(t);
  const body = patterned(2 * SEGMENT, 2);
  const { upload } = await sendSegments(backend, 'key', body, SEGMENT);
  const staging = join(path, '.holdfast', 'uploads', upload.locator);
  const data = await open(join(staging, 'data'), 'r+');
  await data.write(Buffer.alloc(SEGMENT), 0, SEGMENT, SEGMENT);
  await data.close();
  await appendFile(join(staging, 'segments'), '3 1048');
  const resumed = await backend.beginUpload('key', { segmentSize: SEGMENT, resume: upload.locator });
  assert.deepEqual(
    (await resumed.listSegments()).map(({ number }) => number),
    [1],
  );
  await resumed.putSegment(2, body.subarray(SEGMENT), hashesOf(body.subarray(SEGMENT)));
  await resumed.complete({ segments: 2, bytes: body.length });
  assert.deepEqual(await readAll(await backend.get('key')), body);
});

test('of many writers with ifAbsent one wins', async (t) => {
  const { backend } = await localBackend(t);
  const outcomes = await Promise.all(
    Array.from({ length: 8 }, (_, index) => backend.put('manifest', Buffer.from(`${index}`), { ifAbsent: true })),
  );
  assert.equal(outcomes.filter((outcome) => outcome === 'stored').length, 1);
  assert.equal((await readAll(await backend.get('manifest'))).toString(), `${outcomes.indexOf('stored')}`);
});

test('puts and deletes in one folder do not disturb each other', async (t) => {
  const { backend } = await localBackend(t);
  await Promise.all(
    Array.from({ length: 200 }, async (_, index) => {
      await backend.put(`shared/folder/${index}`, Buffer.from('x'));
      if (index % 2 === 0) await backend.delete(`shared/folder/${index}`);
    }),
  );
  assert.equal((await collect(backend.list('shared/'))).length, 100);
});

test('capacity is that of the filesystem', async (t) => {
  const { backend } = await localBackend(t);
  const { totalBytes, freeBytes } = (await backend.capacity()) ?? { totalBytes: 0, freeBytes: 0 };
  assert.ok(totalBytes > freeBytes && freeBytes > 0);
});

const root = process.getuid?.() === 0;

test(
  '[12] a full disk is said to be full, leaves nothing, and goes on when there is room',
  { skip: !root },
  async (t) => {
    const { backend, path } = await onSmallDisk(t);
    await rejects(backend.put('large', patterned(8 * SEGMENT, 3)), 'BackendRefused', 'no space left');
    const upload = await backend.beginUpload('upload', { segmentSize: SEGMENT });
    const segment = patterned(SEGMENT, 4);
    await upload.putSegment(1, segment, hashesOf(segment));
    await assert.rejects(
      async () => {
        for (let number = 2; number <= 8; number += 1) await upload.putSegment(number, segment, hashesOf(segment));
      },
      { type: 'BackendRefused', message: /no space left/, advice: `Free space on the filesystem of ${path}.` },
    );
    await upload.abort();
    assert.deepEqual(await readdir(path), []);
    await backend.put('small', segment);
  },
);

test('[12] a read-only disk is said to be read-only', { skip: !root }, async (t) => {
  const { backend, path } = await onSmallDisk(t);
  await backend.put('key', Buffer.from('x'));
  execFileSync('mount', ['-o', 'remount,ro', path]);
  await rejects(backend.put('other', Buffer.from('x')), 'BackendRefused', 'read-only');
  await rejects(backend.delete('key'), 'BackendRefused', 'read-only');
  assert.equal((await readAll(await backend.get('key'))).toString(), 'x');
});

async function localBackend(t: TestContext) {
  const path = await temporaryDirectory(t);
  return { path, backend: openBackend('disk', { type: 'local', path }) };
}

async function onSmallDisk(t: TestContext) {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'tmpfs', path]);
  t.after(async () => {
    execFileSync('umount', [path]);
    await rmdir(path);
  });
  return { path, backend: openBackend('disk', { type: 'local', path }) };
}
