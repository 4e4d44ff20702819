import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { copyObject, segmentSizeFor, type CopyObjectOptions } from '../../../core/heal/copyObject.ts';
import { HoldfastError } from '../../../core/errors.ts';
import type { Backend } from '../../../core/storage/backend.ts';
import { openBackend } from '../../../core/storage/openBackend.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { startS3Proxy } from '../../support/s3Proxy.ts';
import { s3Settings } from '../../support/s3Settings.ts';
import { createBucket } from '../../support/servers.ts';

/** One object from one storage to another, in segments, hashed on its way. */

const MEBIBYTE = 2 ** 20;
const KEY = 'shop/manual/20261120T020000Z-abc123/database.dump.zst.enc';

interface Pair {
  readonly source: Backend;
  readonly target: Backend;
}

async function pair(t: TestContext): Promise<Pair> {
  const directory = await temporaryDirectory(t);
  const open = async (name: string) => {
    await mkdir(path.join(directory, name));
    return openBackend(name, { type: 'local', path: path.join(directory, name) });
  };
  return { source: await open('source'), target: await open('target') };
}

async function store(backend: Backend, bytes: Buffer): Promise<void> {
  await backend.put(KEY, bytes);
}

function optionsFor(t: TestContext, { source, target }: Pair, bytes: Buffer, more: Partial<CopyObjectOptions> = {}) {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const object = { key: KEY, name: 'database.dump.zst.enc', bytes: bytes.length, sha256 };
  return { source, target, object, segmentSize: MEBIBYTE, signal: t.signal, onBytes: () => undefined, ...more };
}

for (const size of [0, 1, MEBIBYTE - 1, MEBIBYTE, MEBIBYTE + 1, 3 * MEBIBYTE, 5 * MEBIBYTE + 77]) {
  test(`an object of ${size} bytes arrives as it was`, async (t) => {
    const here = await pair(t);
    const bytes = randomBytes(size);
    await store(here.source, bytes);
    let told = 0;
    const onBytes = (count: number) => void (told += count);
    assert.deepEqual(await copyObject(optionsFor(t, here, bytes, { onBytes })), { outcome: 'copied' });
    assert.ok((await buffer(await here.target.get(KEY))).equals(bytes));
    assert.equal(told, size);
    assert.deepEqual(await Array.fromAsync(here.target.listUploads('')), []);
  });
}

const flaws: Record<string, (bytes: Buffer) => Buffer> = {
  'a flipped bit at its end': (bytes) => {
    const changed = Buffer.from(bytes);
    changed.writeUInt8((changed.at(-1) ?? 0) ^ 1, changed.length - 1);
    return changed;
  },
  'a flipped bit at its beginning': (bytes) => {
    const changed = Buffer.from(bytes);
    changed.writeUInt8((changed[0] ?? 0) ^ 1, 0);
    return changed;
  },
  'a byte too few': (bytes) => bytes.subarray(0, -1),
  'a byte too many': (bytes) => Buffer.concat([bytes, Buffer.from('x')]),
  'nothing in it': () => Buffer.alloc(0),
};

for (const [what, change] of Object.entries(flaws)) {
  for (const size of [MEBIBYTE / 2, 3 * MEBIBYTE + 5]) {
    test(`[16] a source with ${what} gives nothing to the target (${size} bytes)`, async (t) => {
      const here = await pair(t);
      const bytes = randomBytes(size);
      await store(here.source, change(bytes));
      const copied = await copyObject(optionsFor(t, here, bytes));
      assert.equal(copied.outcome, 'wanting');
      assert.ok(copied.outcome === 'wanting' && copied.problem.type === 'ObjectDamaged');
      assert.deepEqual(await Array.fromAsync(here.target.list('')), []);
      assert.deepEqual(await Array.fromAsync(here.target.listUploads('')), []);
    });
  }
}

test('a source that lacks the object says so, a target that fails throws', async (t) => {
  const here = await pair(t);
  const bytes = randomBytes(3 * MEBIBYTE);
  const missing = await copyObject(optionsFor(t, here, bytes));
  assert.ok(missing.outcome === 'wanting' && missing.problem.type === 'ObjectMissing');
  await store(here.source, bytes);
  const target: Backend = {
    ...here.target,
    beginUpload: async (...args) => ({
      ...(await here.target.beginUpload(...args)),
      putSegment: async () => {
        throw new HoldfastError('BackendUnreachable', 'connection reset');
      },
    }),
  };
  await assert.rejects(copyObject(optionsFor(t, { ...here, target }, bytes)), /connection reset/);
});

test('[14] a copy that broke off goes on with the segments that are missing', async (t) => {
  const here = await pair(t);
  const bytes = randomBytes(6 * MEBIBYTE + 9);
  await store(here.source, bytes);
  const sent: number[] = [];
  const breakingAfter = (most: number): Backend => ({
    ...here.target,
    beginUpload: async (...args) => {
      const upload = await here.target.beginUpload(...args);
      return {
        ...upload,
        putSegment: async (number, ...rest) => {
          if (number > most) throw new HoldfastError('BackendUnreachable', 'connection reset');
          sent.push(number);
          await upload.putSegment(number, ...rest);
        },
      };
    },
  });
  await assert.rejects(copyObject(optionsFor(t, { ...here, target: breakingAfter(3) }, bytes)), /connection reset/);
  const [left] = await Array.fromAsync(here.target.listUploads(''));
  assert.ok(left);
  const again = optionsFor(t, { ...here, target: breakingAfter(99) }, bytes, { resume: left.locator });
  assert.deepEqual(await copyObject(again), { outcome: 'copied' });
  assert.deepEqual(sent, [1, 2, 3, 4, 5, 6, 7]);
  assert.ok((await buffer(await here.target.get(KEY))).equals(bytes));
});

test('[21] an upload that the service cannot complete any more is aborted, and the copy begins anew', async (t) => {
  const { here, bytes, left, proxy, options } = await resumable(t);
  proxy.fault = ({ operation, query }) =>
    operation === 'CompleteMultipartUpload' && query.get('uploadId') === left
      ? { kind: 'answer', status: 500, code: 'InternalError' }
      : undefined;
  assert.deepEqual(await copyObject(options), { outcome: 'copied' });
  assert.ok((await buffer(await here.target.get(KEY))).equals(bytes));
  assert.deepEqual(await Array.fromAsync(here.target.listUploads('')), []);

  // Begun anew once: a service that completes nothing is not sent the object for ever.
  const created = proxy.of('CreateMultipartUpload').length;
  await here.target.delete(KEY);
  proxy.fault = ({ operation }) =>
    operation === 'CompleteMultipartUpload' ? { kind: 'answer', status: 500, code: 'InternalError' } : undefined;
  const unresumed = optionsFor(t, here, bytes, { segmentSize: S3_SEGMENT });
  await assert.rejects(copyObject(unresumed), /fails with status 500/);
  assert.equal(proxy.of('CreateMultipartUpload').length, created + 1);
});

test('[14] an upload whose service is away while it is completed is gone on with later', async (t) => {
  const { here, left, proxy, options } = await resumable(t);
  for (const fault of [{ kind: 'reset' }, { kind: 'answer', status: 503, code: 'ServiceUnavailable' }] as const) {
    proxy.fault = ({ operation }) => (operation === 'CompleteMultipartUpload' ? fault : undefined);
    await assert.rejects(copyObject(options), { type: 'BackendUnreachable' });
    const uploads = await Array.fromAsync(here.target.listUploads(''));
    assert.deepEqual(
      uploads.map(({ locator }) => locator),
      [left],
    );
  }
  const sent = proxy.of('UploadPart').length;
  proxy.fault = () => undefined;
  assert.deepEqual(await copyObject(options), { outcome: 'copied' });
  assert.equal(proxy.of('UploadPart').length, sent, 'no segment is sent twice');
});

const S3_SEGMENT = 5 * MEBIBYTE;

/** A copy to S3 whose segments an earlier try sent, all of them, without completing it. */
async function resumable(t: TestContext) {
  const { source } = await pair(t);
  const proxy = await startS3Proxy(t, { keepBodies: false });
  const settings = s3Settings(await createBucket(t), { endpoint: proxy.endpoint });
  const target = openBackend('bucket', settings);
  t.after(() => target.close());
  const here = { source, target };
  const bytes = randomBytes(S3_SEGMENT + 9);
  await store(source, bytes);
  proxy.fault = ({ operation }) => (operation === 'CompleteMultipartUpload' ? { kind: 'reset' } : undefined);
  await assert.rejects(copyObject(optionsFor(t, here, bytes, { segmentSize: S3_SEGMENT })));
  const [pending] = await Array.fromAsync(target.listUploads(''));
  assert.ok(pending);
  const options = optionsFor(t, here, bytes, { segmentSize: S3_SEGMENT, resume: pending.locator });
  return { here, bytes, left: pending.locator, proxy, options };
}

test('segments grow where an object would have too many of them', () => {
  assert.equal(segmentSizeFor(100 * MEBIBYTE, 8 * MEBIBYTE), 8 * MEBIBYTE);
  const large = 8192 * 64 * MEBIBYTE;
  assert.equal(segmentSizeFor(large, 8 * MEBIBYTE), 64 * MEBIBYTE);
  assert.ok(large / segmentSizeFor(large, 5 * MEBIBYTE) <= 8192);
});
