import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { codeOf, isHoldfastError } from '../../../core/errors.ts';
import { nextAttempt, type AttemptReader } from '../../../core/spool/attemptReader.ts';
import { beginAttempt } from '../../../core/spool/attemptWriter.ts';
import { listAttempts, openSpool, removeFromSpool, type Spool } from '../../../core/spool/spool.ts';
import { temporaryDirectory } from '../../support/directories.ts';

const BACKUP = '20261120T020000Z-abc123';
const MEBIBYTE = 2 ** 20;

async function spoolFor(t: TestContext, limit = 1024 * MEBIBYTE): Promise<Spool> {
  const directory = await temporaryDirectory(t);
  return openSpool({ path: path.join(directory, 'spool'), limit, segmentSize: MEBIBYTE });
}

async function readObject(reader: AttemptReader, object: string, signal: AbortSignal): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const entry of reader.follow(signal)) {
    if (entry.type !== 'segment' || entry.object !== object) continue;
    const piece = await reader.readSegment(object, entry.number, Buffer.alloc(MEBIBYTE));
    assert.ok(Buffer.isBuffer(piece));
    assert.equal(createHash('sha256').update(piece).digest('hex'), entry.sha256);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

test('what is written in any sizes comes back in segments of one size', async (t) => {
  const spool = await spoolFor(t);
  const bytes = randomBytes(3 * MEBIBYTE + 12345);
  const writer = await beginAttempt(spool, BACKUP);
  const part = writer.openPart(() => 'database.dump.zst.enc');
  for (let offset = 0; offset < bytes.length; offset += 300_007)
    await part.write(bytes.subarray(offset, offset + 300_007));
  const written = await part.finish();
  await writer.end();
  await writer.close();

  const hash = createHash('sha256').update(bytes).digest('hex');
  assert.deepEqual(written, {
    bytes: bytes.length,
    sha256: hash,
    objects: [{ name: 'database.dump.zst.enc', bytes: bytes.length, sha256: hash }],
  });
  const reader = await nextAttempt(spool, BACKUP, undefined, t.signal);
  assert.ok((await readObject(reader, 'database.dump.zst.enc', t.signal)).equals(bytes));
});

test('a part that outgrows an object goes on in the next, and both hashes are right', async (t) => {
  const spool = await spoolFor(t);
  const bytes = randomBytes(5 * MEBIBYTE);
  const writer = await beginAttempt(spool, BACKUP, { segmentsPerObject: 2 });
  const part = writer.openPart((index) => (index === 0 ? 'a.enc' : `a.enc.00${index}`));
  await part.write(bytes);
  const { objects, sha256 } = await part.finish();
  await writer.end();
  await writer.close();
  assert.deepEqual(
    objects.map(({ name, bytes: size }) => [name, size]),
    [
      ['a.enc', 2 * MEBIBYTE],
      ['a.enc.001', 2 * MEBIBYTE],
      ['a.enc.002', MEBIBYTE],
    ],
  );
  const slice = (from: number, to: number) =>
    createHash('sha256')
      .update(bytes.subarray(from * MEBIBYTE, to * MEBIBYTE))
      .digest('hex');
  assert.deepEqual(
    objects.map((object) => object.sha256),
    [slice(0, 2), slice(2, 4), slice(4, 5)],
  );
  assert.equal(sha256, slice(0, 5));
});

test('[2] while an attempt is being removed none of its segments seems lost', async (t) => {
  const spool = await spoolFor(t);
  for (let round = 0; round < 20; round += 1) {
    const attempt = await beginAttempt(spool, BACKUP);
    const objects = Array.from({ length: 40 }, (_, index) => `database-${index}.enc`);
    for (const object of objects) {
      const part = attempt.openPart(() => object);
      await part.write(Buffer.alloc(10));
      await part.close();
    }
    await attempt.close();
    const reader = await nextAttempt(spool, BACKUP, undefined, t.signal);
    assert.equal(reader.directory, attempt.directory);
    const removing = attempt.discard();
    const answers = new Set<unknown>();
    while (!answers.has('superseded'))
      for (const object of objects) answers.add(await reader.readSegment(object, 1, Buffer.alloc(10)));
    assert.ok(!answers.has('removed'));
    await removing;
  }
});

test('[2] an attempt is removed though an upload still writes its notes into it', async (t) => {
  const spool = await spoolFor(t);
  for (let round = 0; round < 20; round += 1) {
    const attempt = await beginAttempt(spool, BACKUP);
    const notes = path.join(attempt.directory, 'uploads', 'far');
    await mkdir(notes, { recursive: true });
    const writing = (async () => {
      for (let note = 0; note < 200; note += 1)
        await writeFile(path.join(notes, `${note}`), '').catch((error: unknown) => {
          if (codeOf(error) !== 'ENOENT') throw error;
        });
    })();
    await attempt.close();
    await attempt.discard();
    await writing;
    assert.deepEqual(await readdir(attempt.directory), []);
  }
});

test('a reader follows the writer while it writes, and learns that an attempt was given up', async (t) => {
  const spool = await spoolFor(t);
  const first = await beginAttempt(spool, BACKUP);
  const part = first.openPart(() => 'a.enc');
  const reader = await nextAttempt(spool, BACKUP, undefined, t.signal);
  const seen: string[] = [];
  const following = (async () => {
    for await (const entry of reader.follow(t.signal)) seen.push(entry.type);
  })();
  await part.write(randomBytes(MEBIBYTE));
  while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(seen, ['segment']);
  await part.close();
  await first.discard();
  await first.close();
  assert.equal(await reader.readSegment('a.enc', 1, Buffer.alloc(MEBIBYTE)), 'superseded');

  const second = await beginAttempt(spool, BACKUP);
  await following;
  assert.deepEqual(seen, ['segment', 'superseded']);
  assert.notEqual(second.directory, first.directory);
  assert.equal((await nextAttempt(spool, BACKUP, reader.directory, t.signal)).directory, second.directory);
  await second.close();
});

test('[13] a new attempt takes the ciphertext of a dead one away, modes are 0700 and 0600, and nothing stays at the end', async (t) => {
  const spool = await spoolFor(t);
  const dead = await beginAttempt(spool, BACKUP);
  await dead.openPart(() => 'a.enc').write(randomBytes(100));
  const alive = await beginAttempt(spool, BACKUP);
  await alive.openPart(() => 'a.enc').write(randomBytes(100));
  assert.deepEqual(await readdir(dead.directory), []);
  assert.equal((await listAttempts(spool, BACKUP)).length, 2);
  for (const directory of [spool.path, path.dirname(alive.directory), alive.directory]) {
    assert.equal((await stat(directory)).mode & 0o777, 0o700, directory);
  }
  for (const file of await readdir(alive.directory)) {
    assert.equal((await stat(path.join(alive.directory, file))).mode & 0o777, 0o600, file);
  }
  await dead.close();
  await alive.close();
  await removeFromSpool(spool, BACKUP);
  assert.deepEqual(await readdir(spool.path), ['id']);
});

test('[12] the limit of the spool ends the attempt with its name and the setting to raise', async (t) => {
  const spool = await spoolFor(t, MEBIBYTE);
  const writer = await beginAttempt(spool, BACKUP);
  const part = writer.openPart(() => 'a.enc');
  await assert.rejects(part.write(randomBytes(MEBIBYTE + 1)), (error) => {
    assert.ok(isHoldfastError(error, 'SpoolFailed'));
    assert.match(`${error.message} ${error.advice}`, /limit.*spool\.limit/s);
    return true;
  });
  await part.close();
  await writer.close();
});
