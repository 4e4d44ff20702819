import assert from 'node:assert/strict';
import { mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isHoldfastError } from '../../../core/errors.ts';
import { objectKey } from '../../../core/repository/layout.ts';
import { locationOf } from '../../../core/repository/location.ts';
import type { Manifest } from '../../../core/repository/manifest.ts';
import { partNamed, readPart } from '../../../core/repository/readPart.ts';
import { openCopy, verifyStored, type CopyReport } from '../../../core/repository/verify.ts';
import { openLocalBackend } from '../../../core/storage/local.ts';
import { openS3Backend } from '../../../core/storage/s3.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { createBucket, createDatabase, testPostgres, testS3 } from '../../support/servers.ts';
import { gather, newAesKey } from '../seal/sealing.ts';
import {
  archiveDirectory,
  dumpDatabase,
  GLOBALS_SQL,
  newBackupKeys,
  storeBackup,
  type PlainPart,
} from './storedBackup.ts';

const pgRestore = () => join(testPostgres().binDirectory, 'pg_restore');

async function localBackend(t: TestContext) {
  const root = await temporaryDirectory(t);
  return { root, backend: openLocalBackend('local', { type: 'local', path: root }) };
}

async function fullParts(t: TestContext): Promise<PlainPart[]> {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'sub'));
  await writeFile(join(directory, 'sub', 'photo.jpg'), Buffer.alloc(300_000, 'x'));
  await symlink('sub/photo.jpg', join(directory, 'link'));
  return [
    { part: 'database', format: 'pg_dump-custom', bytes: await dumpDatabase(await createDatabase(t)) },
    { part: 'globals', format: 'sql', bytes: GLOBALS_SQL },
    { part: 'media', format: 'tar', ...(await archiveDirectory(directory)) },
  ];
}

/** A backup on a local backend, in objects small enough that each part has several. */
async function storedBackup(t: TestContext) {
  const { root, backend } = await localBackend(t);
  const keys = newBackupKeys();
  const parts = await fullParts(t);
  const manifest = await storeBackup([backend], keys, parts, { objectBytes: 60_000 });
  const pathOf = (name: string) => join(root, objectKey(locationOf(manifest), name));
  const open = () => openCopy(backend, manifest, { openingKeys: [keys.aes], pgRestore: pgRestore() });
  return { root, backend, keys, parts, manifest, pathOf, open };
}

function problemsOf(report: CopyReport): string[] {
  return report.problems.map((problem) => `${problem.type}: ${problem.message}`);
}

function withPart(manifest: Manifest, name: string, changes: Partial<Manifest['parts'][number]>): Manifest {
  return {
    ...manifest,
    parts: manifest.parts.map((part) => (part.part === name ? { ...part, ...changes } : part)),
  };
}

test('a good copy is stored and opens, on a directory and in a bucket, and each object is read once', async (t) => {
  const { backend: local } = await localBackend(t);
  const bucket = await createBucket(t);
  const s3 = openS3Backend('s3', {
    type: 's3',
    provider: 'generic',
    bucket,
    prefix: 'prod',
    concurrency: 2,
    requestTimeout: 10_000,
    ...testS3(),
  });
  t.after(() => s3.close());
  const keys = newBackupKeys();
  const manifest = await storeBackup([local, s3], keys, await fullParts(t), { objectBytes: 60_000 });
  const total = manifest.parts.reduce((sum, part) => sum + part.storedBytes, 0);
  assert.ok((manifest.parts[0]?.objects.length ?? 0) > 2, 'the database has several objects');
  for (const backend of [local, s3]) {
    const stored = await verifyStored(backend, manifest);
    assert.deepEqual(problemsOf(stored), []);
    assert.equal(stored.bytes, total);
    let progress = 0;
    const opened = await openCopy(backend, manifest, {
      openingKeys: [keys.aes],
      pgRestore: pgRestore(),
      onProgress: (read) => (progress = read),
    });
    assert.deepEqual(problemsOf(opened), []);
    assert.equal(opened.bytes, total, 'each byte read once');
    assert.equal(progress, total);
  }
});

test('[16] a flipped bit, a cut byte, an emptied, a missing and a longer object are each named, with the backend', async (t) => {
  const { backend, manifest, pathOf, open } = await storedBackup(t);
  const second = 'database.dump.zst.enc.001';
  const original = await readFile(pathOf(second));
  const flipped = Buffer.from(original);
  flipped.writeUInt8(flipped.readUInt8(1000) ^ 1, 1000);
  const damages: [string, RegExp, () => Promise<void>][] = [
    [
      'flip',
      /^ObjectDamaged: local: .*dump\.zst\.enc\.001 holds other bytes/,
      () => writeFile(pathOf(second), flipped),
    ],
    [
      'cut',
      /^ObjectDamaged: local: .*\.001 is cut: it has \d+ of/,
      () => truncate(pathOf(second), original.length - 1),
    ],
    ['empty', /^ObjectDamaged: local: .*\.001 is empty/, () => truncate(pathOf(second), 0)],
    [
      'long',
      /^ObjectDamaged: local: .*\.001 is longer/,
      () => writeFile(pathOf(second), Buffer.concat([original, original])),
    ],
    ['missing', /^ObjectMissing: local: shop\/daily\/.*\.001 is missing/, () => rm(pathOf(second))],
  ];
  for (const [name, expected, damage] of damages) {
    await damage();
    for (const report of [await verifyStored(backend, manifest), await open()]) {
      assert.equal(report.problems.length, 1, `${name} at depth ${report.depth}: ${problemsOf(report).join('; ')}`);
      assert.match(problemsOf(report)[0] ?? '', expected);
      const good = report.parts.flatMap((part) => part.objects).filter((object) => !object.problem);
      const all = manifest.parts.flatMap((part) => part.objects);
      assert.equal(good.length, all.length - 1, 'the objects after the damaged one are still judged');
    }
    await writeFile(pathOf(second), original);
  }
  assert.deepEqual(problemsOf(await open()), []);
});

test('[16] two swapped objects are both named', async (t) => {
  const { backend, manifest, pathOf } = await storedBackup(t);
  const [first, second] = ['database.dump.zst.enc.001', 'database.dump.zst.enc.002'].map(pathOf) as [string, string];
  await rename(first, `${first}.aside`);
  await rename(second, first);
  await rename(`${first}.aside`, second);
  const messages = problemsOf(await verifyStored(backend, manifest)).join('\n');
  assert.match(messages, /\.001 /);
  assert.match(messages, /\.002 /);
});

test('[16] a dump that was cut before it was sealed does not open, though every byte is as it was written', async (t) => {
  const { backend } = await localBackend(t);
  const keys = newBackupKeys();
  const [database, globals, media] = (await fullParts(t)) as [PlainPart, PlainPart, PlainPart];
  const cutParts = [
    { ...database, bytes: database.bytes.subarray(0, -20_000) },
    { ...globals, bytes: globals.bytes.subarray(0, 60) },
    { ...media, bytes: media.bytes.subarray(0, 200_000) },
    { part: 'inventory', format: 'json', bytes: Buffer.from('{"format":"something else"}') } as const,
  ];
  const manifest = await storeBackup([backend], keys, cutParts);
  assert.deepEqual(problemsOf(await verifyStored(backend, manifest)), []);
  const report = await openCopy(backend, manifest, { openingKeys: [keys.aes], pgRestore: pgRestore() });
  const messages = problemsOf(report);
  assert.equal(messages.length, 4);
  assert.match(messages[0] ?? '', /^DumpFailed: local: part database cannot be read: .*pg_restore failed/s);
  assert.match(messages[1] ?? '', /^DumpFailed: local: part globals .*no complete SQL dump/);
  assert.match(messages[2] ?? '', /local: .*archive is damaged/);
  assert.match(messages[3] ?? '', /^DumpFailed: local: part inventory .*not what such a part holds/s);
});

test('counts that differ from the manifest are found, each for itself', async (t) => {
  const { backend, manifest, keys } = await storedBackup(t);
  const part = partNamed(manifest, 'media');
  assert.ok(part.tree);
  const wrong: [Partial<typeof part>, RegExp][] = [
    [{ originalBytes: part.originalBytes + 1 }, /media/],
    [{ compressedBytes: part.compressedBytes + 1 }, /media decrypts to \d+ bytes, the manifest says/],
    [{ tree: { ...part.tree, files: 7 } }, /holds 1 files, the manifest says 7/],
  ];
  for (const [changes, expected] of wrong) {
    const options = { openingKeys: [keys.aes], pgRestore: pgRestore() };
    const report = await openCopy(backend, withPart(manifest, 'media', changes), options);
    assert.equal(report.problems.length, 1);
    assert.match(problemsOf(report)[0] ?? '', expected);
  }
});

test('[24] a part of another backup in its place does not open even when the manifest was made to fit', async (t) => {
  const { backend } = await localBackend(t);
  const keys = newBackupKeys();
  const globals = { part: 'globals', format: 'sql', bytes: GLOBALS_SQL } as const;
  const mine = await storeBackup([backend], keys, [globals], { id: '20261120T020000Z-aaaaaa' });
  const other = await storeBackup([backend], keys, [globals], { id: '20261121T020000Z-bbbbbb' });
  const stolen = await gather(await backend.get(objectKey(locationOf(other), 'globals.sql.zst.enc')));
  await backend.put(objectKey(locationOf(mine), 'globals.sql.zst.enc'), stolen);
  const { objects, sha256, storedBytes } = partNamed(other, 'globals');
  const forged = withPart(mine, 'globals', { objects, sha256, storedBytes });
  assert.deepEqual(problemsOf(await verifyStored(backend, forged)), []);
  const report = await openCopy(backend, forged, { openingKeys: [keys.aes], pgRestore: pgRestore() });
  assert.match(problemsOf(report)[0] ?? '', /ObjectDamaged: .*sealed as something else.*20261121T020000Z-bbbbbb/);
});

test('[23] without a fitting key the look ends with the ids of those that would open it', async (t) => {
  const { backend, manifest, keys } = await storedBackup(t);
  await assert.rejects(openCopy(backend, manifest, { openingKeys: [newAesKey()], pgRestore: pgRestore() }), (error) => {
    assert.ok(isHoldfastError(error, 'KeyMissing'));
    assert.match(error.message, new RegExp(keys.aes.id));
    return true;
  });
});

test('what keeps from looking is thrown, not written down as damage', async (t) => {
  const { backend, manifest, keys } = await storedBackup(t);
  await assert.rejects(
    openCopy(backend, manifest, { openingKeys: [keys.aes], pgRestore: '/nonexistent/pg_restore' }),
    (error) => isHoldfastError(error, 'ToolMissing'),
  );
  const gone = openLocalBackend('gone', { type: 'local', path: '/nonexistent/holdfast' });
  await assert.rejects(
    verifyStored(gone, manifest),
    (error) => isHoldfastError(error, 'BackendRefused') || isHoldfastError(error, 'BackendUnreachable'),
  );
  const stop = new AbortController();
  const reason = new Error('asked to stop');
  const opening = openCopy(backend, manifest, {
    openingKeys: [keys.aes],
    pgRestore: pgRestore(),
    signal: stop.signal,
    onProgress: () => stop.abort(reason),
  });
  await assert.rejects(opening, (error) => error === reason);
});

test('a part is read as it was, and the stream of a damaged one ends with the error', async (t) => {
  const { backend, manifest, keys, parts, pathOf } = await storedBackup(t);
  for (const plain of parts) {
    const read = await gather(readPart(backend, manifest, partNamed(manifest, plain.part), [keys.aes]));
    assert.ok(read.equals(plain.bytes), plain.part);
  }
  const database = partNamed(manifest, 'database');
  const last = database.objects.at(-1);
  assert.ok(last);
  await truncate(pathOf(last.name), last.bytes - 1);
  await assert.rejects(gather(readPart(backend, manifest, database, [keys.aes])), (error) => {
    assert.ok(isHoldfastError(error, 'ObjectDamaged'));
    assert.match(error.message, /local: .*is cut/);
    return true;
  });
  assert.throws(() => partNamed(manifest, 'databse'), /has no part databse/);
});
