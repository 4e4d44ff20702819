import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type TestContext } from 'node:test';
import { uploadCopy } from '../../../core/backup/uploadCopy.ts';
import { HoldfastError, isHoldfastError } from '../../../core/errors.ts';
import { beginAttempt, type AttemptWriter } from '../../../core/spool/attemptWriter.ts';
import { noteLeaving } from '../../../core/spool/leaving.ts';
import type { Receivers } from '../../../core/spool/room.ts';
import { openSpool, type Spool } from '../../../core/spool/spool.ts';
import type { Backend, Upload } from '../../../core/storage/backend.ts';
import { openBackend } from '../../../core/storage/openBackend.ts';
import { temporaryDirectory } from '../../support/directories.ts';

/** The dump and its uploads when the spool cannot hold all of the backup. */

const BACKUP = '20261120T020000Z-abc123';
const PREFIX = `shop/manual/${BACKUP}/`;
const OBJECT = 'database.dump.zst.enc';
const SEGMENT = 64 * 1024;
/** Segments. */
const LIMIT = 8;
const BYTES = randomBytes(5 * LIMIT * SEGMENT + 77);

interface Ground {
  readonly spool: Spool;
  readonly directory: string;
  /** A directory as a backend, whose segments may be held up. */
  backend(name: string, onSegment?: (number: number, signal?: AbortSignal) => Promise<void>): Promise<Backend>;
  begin(backends: readonly Backend[], more?: Partial<Receivers>): Promise<AttemptWriter>;
  upload(backend: Backend): ReturnType<typeof uploadCopy>;
}

async function ground(t: TestContext): Promise<Ground> {
  const directory = await temporaryDirectory(t);
  const spool = await openSpool({
    path: path.join(directory, 'spool'),
    limit: LIMIT * SEGMENT,
    segmentSize: SEGMENT,
  });
  return {
    spool,
    directory,
    backend: async (name, onSegment) => {
      await mkdir(path.join(directory, name));
      const backend = openBackend(name, { type: 'local', path: path.join(directory, name) });
      const held = (upload: Upload): Upload => ({
        ...upload,
        putSegment: async (number, body, hashes, signal) => {
          await onSegment?.(number, signal);
          await upload.putSegment(number, body, hashes, signal);
        },
      });
      return { ...backend, beginUpload: async (key, options) => held(await backend.beginUpload(key, options)) };
    },
    begin: (backends, more = {}) =>
      beginAttempt(spool, BACKUP, {
        receivers: {
          backends: backends.map(({ name }) => name),
          required: 1,
          openParts: 1,
          patience: 60_000,
          grace: 300,
          signal: t.signal,
          ...more,
        },
      }),
    upload: (backend) =>
      uploadCopy({
        spool,
        backend,
        backup: BACKUP,
        prefix: PREFIX,
        concurrency: 2,
        signal: t.signal,
        onProgress: () => undefined,
      }),
  };
}

/** Writes the part and says the most that the spool held meanwhile. */
async function write(attempt: AttemptWriter, bytes = BYTES): Promise<number> {
  const part = attempt.openPart(() => OBJECT);
  let most = 0;
  try {
    for (let offset = 0; offset < bytes.length; offset += 50_000) {
      await part.write(bytes.subarray(offset, offset + 50_000));
      most = Math.max(most, await heldBytes(attempt.directory));
    }
    await part.finish();
    await attempt.end();
  } finally {
    await part.close();
    await attempt.close();
  }
  return most;
}

async function heldBytes(directory: string): Promise<number> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.segment'));
  // A file may be removed between the two calls.
  const sizes = await Promise.all(names.map((name) => stat(path.join(directory, name)).catch(() => ({ size: 0 }))));
  return sizes.reduce((sum, { size }) => sum + size, 0);
}

async function assertWhole(backend: Backend): Promise<void> {
  assert.ok((await buffer(await backend.get(PREFIX + OBJECT))).equals(BYTES), `the copy on ${backend.name}`);
}

const forEver = (_number: number, signal?: AbortSignal) => sleep(600_000, undefined, { ...(signal && { signal }) });

test('[12] a backup many times as large as the spool goes through it, and the limit holds throughout', async (t) => {
  const here = await ground(t);
  const backends = [await here.backend('one'), await here.backend('two')];
  const attempt = await here.begin(backends);
  const uploads = backends.map((backend) => here.upload(backend));
  const most = await write(attempt);
  assert.ok(most <= LIMIT * SEGMENT, `${most} bytes`);
  for (const upload of uploads) assert.equal((await upload).bytes, BYTES.length);
  for (const backend of backends) await assertWhole(backend);
});

test('[12] [19] a backend that takes nothing is left behind with a reason, and the dump goes on without it', async (t) => {
  const here = await ground(t);
  const [good, hung] = [await here.backend('good'), await here.backend('hung', forEver)];
  const attempt = await here.begin([good, hung]);
  const uploads = [here.upload(good), here.upload(hung)] as const;
  const left = assert.rejects(uploads[1], (error) => {
    assert.ok(isHoldfastError(error, 'LeftBehind'));
    assert.equal(error.retryable, false);
    assert.match(error.message, /backend hung was left behind: \S+ KiB \(\d+ bytes\).*limit of 512.0 KiB/);
    assert.match(error.advice ?? '', /spool\.limit/);
    return true;
  });
  await write(attempt);
  await left;
  await uploads[0];
  await assertWhole(good);
  await assert.rejects(here.upload(hung), { type: 'LeftBehind' }, 'a later try ends at once too');
});

test('[12] [19] a backend whose upload was given up is not waited for', async (t) => {
  const here = await ground(t);
  const [good, gone] = [await here.backend('good'), await here.backend('gone')];
  // Even where both copies are required: that one will not come.
  const attempt = await here.begin([good, gone], { required: 2 });
  await noteLeaving(here.spool, BACKUP, gone.name, { reason: 'ended' });
  const uploading = here.upload(good);
  await write(attempt);
  await uploading;
  await assertWhole(good);
});

test('[12] backends that are all slow, or that the backup needs, hold the dump back and do not fail it', async (t) => {
  const here = await ground(t);
  const [slow, slower] = [await here.backend('slow', () => sleep(40)), await here.backend('slower', () => sleep(90))];
  const attempt = await here.begin([slow, slower], { required: 2, patience: 3_000 });
  const uploads = [slow, slower].map((backend) => here.upload(backend));
  const most = await write(attempt);
  assert.ok(most <= LIMIT * SEGMENT, `${most} bytes`);
  await Promise.all(uploads);
  await assertWhole(slow);
  await assertWhole(slower);
});

test('[12] [14] when no backend takes anything for too long the dump fails, and says who, and what to raise', async (t) => {
  const here = await ground(t);
  const backends = [await here.backend('one', forEver), await here.backend('two', forEver)];
  const attempt = await here.begin(backends, { patience: 500 });
  const ended = new AbortController();
  const uploads = backends.map((backend) =>
    uploadCopy({
      spool: here.spool,
      backend,
      backup: BACKUP,
      prefix: PREFIX,
      concurrency: 2,
      signal: ended.signal,
      onProgress: () => undefined,
    }),
  );
  const over = Promise.all(uploads.map((upload) => assert.rejects(upload, /over/)));
  await assert.rejects(write(attempt), (error) => {
    assert.ok(isHoldfastError(error, 'SpoolFailed'));
    assert.match(`${error.message} ${error.advice}`, /limit.*one, two took nothing for 500 ms.*spool\.limit/);
    return true;
  });
  ended.abort(new Error('over'));
  await over;
});

test('[12] the dump that waits for room ends with its signal', async (t) => {
  const here = await ground(t);
  const stop = new AbortController();
  const attempt = await here.begin([await here.backend('one')], { signal: stop.signal });
  setTimeout(() => stop.abort(new Error('no longer wanted')), 300);
  await assert.rejects(write(attempt), /no longer wanted/);
});

test('[12] what other backups hold counts, and none of them keeps another from beginning', async (t) => {
  const here = await ground(t);
  const other = path.join(here.spool.path, '20261120T030000Z-def456', 'attempt-0001');
  await mkdir(other, { recursive: true });
  await writeFile(path.join(other, 'a.enc.00001.segment'), randomBytes(LIMIT * SEGMENT - 5 * SEGMENT));
  const backend = await here.backend('one', () => sleep(5));
  const uploading = here.upload(backend);
  const most = await write(await here.begin([backend]));
  assert.ok(most > 2 * SEGMENT && most <= 5 * SEGMENT, `${most} bytes`);
  await uploading;

  await writeFile(path.join(other, 'b.enc.00001.segment'), randomBytes(LIMIT * SEGMENT));
  const second = await here.backend('two', () => sleep(5));
  const attempt = await here.begin([second]);
  const uploadingAgain = here.upload(second);
  assert.ok((await write(attempt)) <= 2 * SEGMENT, 'what cannot be sent yet, and no more');
  await uploadingAgain;
  await assertWhole(second);
});

test('[12] [15] an upload that has to begin anew when its first segments are gone is left behind', async (t) => {
  const here = await ground(t);
  const breaking = await here.backend('breaking', async (number) => {
    if (number === 2 * LIMIT) throw new HoldfastError('BackendUnreachable', 'connection reset');
  });
  const attempt = await here.begin([breaking]);
  const writing = write(attempt);
  await assert.rejects(here.upload(breaking), /connection reset/);
  for await (const upload of breaking.listUploads('')) await breaking.abortUpload(upload);
  await assert.rejects(here.upload(breaking), (error) => {
    assert.ok(isHoldfastError(error, 'LeftBehind'));
    assert.match(error.message, /breaking.*lost what it had of database\.dump.*segment 1 is no longer/);
    return true;
  });
  await noteLeaving(here.spool, BACKUP, breaking.name, { reason: 'ended' });
  await assert.rejects(writing, { type: 'SpoolFailed' });
});

test('[14] an object that is complete is not sent again by the next try, unless it is gone', async (t) => {
  const here = await ground(t);
  const sent: number[] = [];
  const backend = await here.backend('one', async (number) => void sent.push(number));
  const attempt = await here.begin([backend]);
  await write(attempt, BYTES.subarray(0, 3 * SEGMENT));
  await here.upload(backend);
  assert.deepEqual(new Set(sent), new Set([1, 2, 3]));
  const again = await here.upload(backend);
  assert.deepEqual([again.resumedBytes, again.objects], [3 * SEGMENT, 1]);
  assert.equal(sent.length, 3);

  await rm(path.join(here.directory, 'one', PREFIX, OBJECT));
  const anew = await here.upload(backend);
  assert.deepEqual([anew.resumedBytes, anew.bytes], [0, 3 * SEGMENT]);
  assert.equal((await backend.head(PREFIX + OBJECT))?.bytes, 3 * SEGMENT);
});
