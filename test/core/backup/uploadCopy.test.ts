import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type TestContext } from 'node:test';
import { uploadCopy, type UploadCopyOptions } from '../../../core/backup/uploadCopy.ts';
import { HoldfastError, isHoldfastError } from '../../../core/errors.ts';
import { beginAttempt, type AttemptWriter } from '../../../core/spool/attemptWriter.ts';
import { openSpool, type Spool } from '../../../core/spool/spool.ts';
import type { Backend } from '../../../core/storage/backend.ts';
import { openBackend } from '../../../core/storage/openBackend.ts';
import { temporaryDirectory } from '../../support/directories.ts';

const BACKUP = '20261120T020000Z-abc123';
const PREFIX = `shop/manual/${BACKUP}/`;
const SEGMENT = 2 ** 20;

interface Place {
  readonly spool: Spool;
  readonly backend: Backend;
  readonly storage: string;
}

async function place(t: TestContext): Promise<Place> {
  const directory = await temporaryDirectory(t);
  const storage = path.join(directory, 'storage');
  await mkdir(storage);
  const spool = await openSpool({ path: path.join(directory, 'spool'), limit: 2 ** 30, segmentSize: SEGMENT });
  return { spool, storage, backend: openBackend('local', { type: 'local', path: storage }) };
}

function optionsFor(
  { spool, backend }: Place,
  t: TestContext,
  more: Partial<UploadCopyOptions> = {},
): UploadCopyOptions {
  return {
    spool,
    backend,
    backup: BACKUP,
    prefix: PREFIX,
    concurrency: 2,
    signal: t.signal,
    onProgress: () => undefined,
    ...more,
  };
}

async function writePart(attempt: AttemptWriter, name: string, bytes: Buffer): Promise<void> {
  const part = attempt.openPart(() => name);
  await part.write(bytes);
  await part.finish();
}

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

async function stored({ backend }: Place, name: string): Promise<Buffer> {
  return buffer(await backend.get(PREFIX + name));
}

/** A backend whose segments can be held up or refused, and that counts what it was sent. */
function watched(
  backend: Backend,
  onSegment: (key: string, number: number) => Promise<void> | void,
): Backend & { sent: number } {
  const watching: Backend & { sent: number } = {
    ...backend,
    sent: 0,
    beginUpload: async (key, options) => {
      const upload = await backend.beginUpload(key, options);
      return {
        ...upload,
        putSegment: async (number, body, hashes, signal) => {
          await onSegment(key, number);
          watching.sent += body.length;
          await upload.putSegment(number, body, hashes, signal);
        },
      };
    },
  };
  return watching;
}

test('an upload runs beside the writer: all but the last segments are sent before the part is whole', async (t) => {
  const here = await place(t);
  const bytes = randomBytes(3 * SEGMENT + 77);
  const small = randomBytes(1000);
  const numbers: number[] = [];
  const backend = watched(here.backend, (_key, number) => void numbers.push(number));
  const uploading = uploadCopy(optionsFor(here, t, { backend }));
  const attempt = await beginAttempt(here.spool, BACKUP);
  const part = attempt.openPart(() => 'database.dump.zst.enc');
  await part.write(bytes);
  while (numbers.length < 3) await sleep(10);
  assert.deepEqual(await Array.fromAsync(here.backend.list('')), [], 'nothing is visible before the part is whole');
  await part.finish();
  await writePart(attempt, 'globals.sql.zst.enc', small);
  await writePart(attempt, 'empty.sql.zst.enc', Buffer.alloc(0));
  await attempt.end();
  assert.deepEqual(await uploading, {
    attempt: 'attempt-0001',
    objects: 3,
    bytes: bytes.length + small.length,
    resumedBytes: 0,
  });
  await attempt.close();
  assert.ok((await stored(here, 'database.dump.zst.enc')).equals(bytes));
  assert.ok((await stored(here, 'globals.sql.zst.enc')).equals(small));
  assert.equal((await stored(here, 'empty.sql.zst.enc')).length, 0);
});

test('[14] an upload that broke off goes on with the segments that are missing', async (t) => {
  const here = await place(t);
  const bytes = randomBytes(8 * SEGMENT);
  const attempt = await beginAttempt(here.spool, BACKUP);
  await writePart(attempt, 'database.dump.zst.enc', bytes);
  await attempt.end();
  await attempt.close();
  const breaking = watched(here.backend, (_key, number) => {
    if (number === 6) throw new HoldfastError('BackendUnreachable', 'connection reset');
  });
  await assert.rejects(uploadCopy(optionsFor(here, t, { backend: breaking, concurrency: 1 })), /connection reset/);
  assert.equal(breaking.sent, 5 * SEGMENT);

  const second = watched(here.backend, () => undefined);
  const outcome = await uploadCopy(optionsFor(here, t, { backend: second }));
  assert.deepEqual(outcome, { attempt: 'attempt-0001', objects: 1, bytes: bytes.length, resumedBytes: 5 * SEGMENT });
  assert.equal(second.sent, 3 * SEGMENT);
  assert.ok((await stored(here, 'database.dump.zst.enc')).equals(bytes));
});

test('[2][5] when the dump starts over, nothing of the first attempt reaches the object', async (t) => {
  const here = await place(t);
  const firstBytes = randomBytes(4 * SEGMENT);
  const secondBytes = randomBytes(3 * SEGMENT + 5);
  const sent: number[] = [];
  const backend = watched(here.backend, (_key, number) => void sent.push(number));
  const uploading = uploadCopy(optionsFor(here, t, { backend }));
  const first = await beginAttempt(here.spool, BACKUP);
  const part = first.openPart(() => 'database.dump.zst.enc');
  await part.write(firstBytes);
  while (sent.length < 4) await sleep(10);
  await part.close();
  await first.discard();
  await first.close();

  const second = await beginAttempt(here.spool, BACKUP);
  await writePart(second, 'database.dump.zst.enc', secondBytes);
  await second.end();
  await second.close();
  const outcome = await uploading;
  assert.deepEqual([outcome.attempt, outcome.bytes], ['attempt-0002', secondBytes.length]);
  assert.ok((await stored(here, 'database.dump.zst.enc')).equals(secondBytes));
  assert.deepEqual(await Array.fromAsync(here.backend.listUploads('')), [], 'the first attempt left no upload behind');
});

test("[21] what a killed worker left of this copy is taken back, another backup's upload is not touched", async (t) => {
  const here = await place(t);
  await here.backend.beginUpload(`${PREFIX}database.dump.zst.enc`, { segmentSize: SEGMENT });
  const other = await here.backend.beginUpload('shop/manual/20261120T030000Z-def456/a.enc', { segmentSize: SEGMENT });
  const attempt = await beginAttempt(here.spool, BACKUP);
  await writePart(attempt, 'database.dump.zst.enc', randomBytes(2 * SEGMENT));
  await attempt.end();
  await attempt.close();
  await uploadCopy(optionsFor(here, t));
  const left = await Array.fromAsync(here.backend.listUploads(''));
  assert.deepEqual(
    left.map(({ locator }) => locator),
    [other.locator],
  );
});

test('an upload that is cancelled while it waits for the dump ends at once with the reason', async (t) => {
  const here = await place(t);
  const cancel = new AbortController();
  const attempt = await beginAttempt(here.spool, BACKUP);
  const part = attempt.openPart(() => 'database.dump.zst.enc');
  await part.write(randomBytes(2 * SEGMENT));
  const uploading = uploadCopy(optionsFor(here, t, { signal: cancel.signal }));
  await sleep(200);
  cancel.abort(new Error('no longer wanted'));
  await assert.rejects(uploading, /no longer wanted/);
  await part.close();
  await attempt.close();
});

test('[12] [16] a segment that changed in the spool is refused by the backend, not stored, and not tried for hours', async (t) => {
  const here = await place(t);
  const attempt = await beginAttempt(here.spool, BACKUP);
  await writePart(attempt, 'database.dump.zst.enc', randomBytes(3 * SEGMENT));
  const segment = path.join(
    attempt.directory,
    (await readdir(attempt.directory)).find((name) => name.includes('00002')) ?? 'none',
  );
  const file = await open(segment, 'r+');
  await file.write(Buffer.from('changed'), 0, 7, 4096);
  await file.close();
  await attempt.end();
  await attempt.close();
  await assert.rejects(
    uploadCopy(optionsFor(here, t)),
    (error) => isHoldfastError(error, 'SpoolFailed') && !error.retryable && /Segment 2 of/.test(error.message),
  );
  assert.deepEqual(await Array.fromAsync(here.backend.list('')), []);
});

test('memory: segments in flight never exceed the concurrency', async (t) => {
  const here = await place(t);
  const attempt = await beginAttempt(here.spool, BACKUP);
  for (const name of ['a.enc', 'b.enc', 'c.enc']) await writePart(attempt, name, randomBytes(3 * SEGMENT));
  await attempt.end();
  await attempt.close();
  let inFlight = 0;
  let most = 0;
  const counted = watched(here.backend, () => undefined);
  const backend: Backend = {
    ...counted,
    beginUpload: async (key, options) => {
      const upload = await counted.beginUpload(key, options);
      return {
        ...upload,
        putSegment: async (...args) => {
          inFlight += 1;
          most = Math.max(most, inFlight);
          await sleep(5);
          await upload.putSegment(...args);
          inFlight -= 1;
        },
      };
    },
  };
  await uploadCopy(optionsFor(here, t, { backend, concurrency: 2 }));
  assert.equal(most, 2);
  assert.equal(
    new Set(await Promise.all(['a.enc', 'b.enc', 'c.enc'].map(async (name) => digest(await stored(here, name))))).size,
    3,
  );
});
