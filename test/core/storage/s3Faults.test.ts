import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { isHoldfastError } from '../../../core/errors.ts';
import { openBackend } from '../../../core/storage/openBackend.ts';
import type { S3BackendSettings } from '../../../core/storage/s3Profiles.ts';
import { createBucket } from '../../support/servers.ts';
import { firstOf, startS3Proxy } from '../../support/s3Proxy.ts';
import { s3Settings } from '../../support/s3Settings.ts';
import { collect, patterned, readAll, sendSegments } from '../../support/segments.ts';
import { rejects } from './conformance.ts';

const SEGMENT = 5 * 2 ** 20;
/** Milliseconds without progress that are too long for the impatient backend, and long for a busy machine. */
const IMPATIENT = 1_500;

test('[15] a Complete that answers 200 with an error body is no success until the object is there', async (t) => {
  const { backend, proxy } = await behindProxy(t);
  const body = patterned(SEGMENT + 1, 1);
  const { upload, segments } = await sendSegments(backend, 'shop/object', body, SEGMENT);
  proxy.fault = firstOf('CompleteMultipartUpload', 100, { kind: 'answer', status: 200, code: 'InternalError' });
  await rejects(upload.complete({ segments, bytes: body.length }), 'BackendUnreachable', 'shop/object');
  assert.equal(await backend.head('shop/object'), undefined);

  proxy.fault = firstOf('CompleteMultipartUpload', 100, { kind: 'replaceAnswer', status: 200, code: 'InternalError' });
  await upload.complete({ segments, bytes: body.length });
  assert.deepEqual(await readAll(await backend.get('shop/object')), body);
});

test('[15] a Complete that took effect and whose answer was lost resolves', async (t) => {
  const { backend, proxy } = await behindProxy(t);
  const body = patterned(2 * SEGMENT, 2);
  const { upload, segments } = await sendSegments(backend, 'object', body, SEGMENT);
  proxy.fault = firstOf('CompleteMultipartUpload', 1, { kind: 'loseAnswer' });
  await upload.complete({ segments, bytes: body.length });
  assert.deepEqual(
    (await collect(backend.list(''))).map(({ bytes }) => bytes),
    [body.length],
  );
});

test('[15] after a lost Complete an object of another size under the key is no success', async (t) => {
  const { backend, proxy } = await behindProxy(t);
  const body = patterned(SEGMENT, 3);
  const { upload, segments } = await sendSegments(backend, 'object', body, SEGMENT);
  await backend.put('object', Buffer.from('somebody else was here'));
  proxy.fault = firstOf('CompleteMultipartUpload', 100, { kind: 'answer', status: 500, code: 'InternalError' });
  await rejects(upload.complete({ segments, bytes: body.length }), 'BackendUnreachable', 'object');
});

test('[14] resets and 503 are tried again, then reported as unreachable', async (t) => {
  const { backend, proxy } = await behindProxy(t);
  const body = patterned(SEGMENT, 4);
  proxy.fault = firstOf('UploadPart', 2, { kind: 'reset' });
  const { upload } = await sendSegments(backend, 'object', body, SEGMENT);
  assert.equal(proxy.of('UploadPart').length, 3);
  proxy.fault = firstOf('CompleteMultipartUpload', 2, { kind: 'answer', status: 503, code: 'SlowDown' });
  await upload.complete({ segments: 1, bytes: body.length });
  proxy.fault = firstOf('PutObject', 100, { kind: 'answer', status: 503, code: 'SlowDown' });
  await rejects(backend.put('other', body), 'BackendUnreachable', 'other');
  proxy.fault = firstOf('HeadObject', 100, { kind: 'answer', status: 500 });
  await rejects(backend.head('other'), 'BackendUnreachable', 'other');
});

test('[14] a request without progress is given up after requestTimeout', async (t) => {
  const { impatient, proxy } = await behindProxy(t);
  proxy.fault = () => ({ kind: 'hang' });
  for (const call of [() => impatient.put('key', Buffer.from('x')), () => impatient.get('key')]) {
    const before = Date.now();
    await rejects(call(), 'BackendUnreachable', 'key');
    assert.ok(Date.now() - before < 10 * IMPATIENT);
  }
});

test('[14] a download that breaks off or stalls goes on at the byte it stopped at', async (t) => {
  const { backend, impatient, proxy } = await behindProxy(t);
  const body = patterned(3 * 2 ** 20, 5);
  await backend.put('object', body);
  for (const kind of ['cutBody', 'stallBody'] as const) {
    proxy.requests.length = 0;
    proxy.fault = firstOf('GetObject', 2, { kind, after: 2 ** 20 });
    assert.deepEqual(
      await readAll(await impatient.get('object', { range: { start: 7, end: body.length - 5 } })),
      body.subarray(7, -5),
    );
    assert.deepEqual(
      proxy.of('GetObject').map(({ headers }) => headers.range),
      [0, 1, 2].map((tries) => `bytes=${7 + tries * 2 ** 20}-${body.length - 6}`),
    );
  }
  proxy.fault = (request) => (request.operation === 'GetObject' ? { kind: 'cutBody', after: 0 } : undefined);
  await rejects(readAll(await backend.get('object')), 'BackendUnreachable', 'object');
});

test('[14] a download that breaks off after every few bytes is given up', async (t) => {
  const { backend, proxy } = await behindProxy(t);
  await backend.put('object', patterned(3 * 2 ** 20, 5));
  proxy.fault = ({ operation }) => (operation === 'GetObject' ? { kind: 'cutBody', after: 1_000 } : undefined);
  await rejects(readAll(await backend.get('object')), 'BackendUnreachable', 'object');
  assert.ok(proxy.of('GetObject').length < 10);
});

test('a download of an object that was replaced meanwhile fails', async (t) => {
  const { backend, proxy } = await behindProxy(t);
  await backend.put('object', patterned(3 * 2 ** 20, 6));
  proxy.fault = firstOf('GetObject', 1, { kind: 'cutBody', after: 2 ** 20 });
  const stream = await backend.get('object');
  await backend.put('object', patterned(3 * 2 ** 20, 7));
  await rejects(readAll(stream), 'BackendUnreachable', 'replaced');
});

test('a reader that takes its time is no stall', async (t) => {
  const { backend, impatient, proxy } = await behindProxy(t);
  const body = patterned(32 * 2 ** 20, 8);
  await backend.put('object', body);
  let bytes = 0;
  for await (const chunk of await impatient.get('object')) {
    if (bytes === 0) await delay(3 * IMPATIENT);
    bytes += (chunk as Buffer).length;
  }
  assert.equal(bytes, body.length);
  assert.equal(proxy.of('GetObject').length, 1);
});

test('a stalled download can be let go of', async (t) => {
  const { backend, proxy } = await behindProxy(t);
  await backend.put('object', patterned(3 * 2 ** 20, 10));
  proxy.fault = firstOf('GetObject', 1, { kind: 'stallBody', after: 1000 });
  const stream = await backend.get('object');
  const reading = readAll(stream);
  setTimeout(() => stream.destroy(new Error('enough')), 200);
  const before = Date.now();
  await assert.rejects(reading, /enough/);
  assert.ok(Date.now() - before < 2_000);
});

test('a stalled download ends with its signal at once', async (t) => {
  const { backend, proxy } = await behindProxy(t);
  await backend.put('object', patterned(3 * 2 ** 20, 9));
  proxy.fault = firstOf('GetObject', 1, { kind: 'stallBody', after: 1000 });
  const controller = new AbortController();
  const reading = readAll(await backend.get('object', { signal: controller.signal }));
  const reason = new Error('enough');
  setTimeout(() => controller.abort(reason), 200);
  const before = Date.now();
  await assert.rejects(reading, (error) => error === reason);
  assert.ok(Date.now() - before < 2_000);
});

test('wrong credentials and a missing bucket are refused with advice, and no secret is told', async (t) => {
  const bucket = await createBucket(t);
  const canary = 'canary-6f1f3a';
  const cases: [Partial<S3BackendSettings>, RegExp, RegExp][] = [
    [{ secretAccessKey: canary }, /secret access key does not fit/, /secretAccessKey/],
    [{ accessKeyId: 'nobody', secretAccessKey: canary }, /access key id is not known/, /accessKeyId/],
    [{ bucket: 'no-such-bucket-here' }, /no such bucket/, /Create the bucket no-such-bucket-here/],
  ];
  for (const [changes, message, advice] of cases) {
    const backend = openBackend('store', s3Settings(bucket, changes));
    t.after(() => backend.close());
    const calls = [
      () => backend.put('key', Buffer.from('x')),
      () => backend.get('key'),
      () => collect(backend.list('')),
      () => collect(backend.listUploads('')),
      () => backend.beginUpload('key', { segmentSize: SEGMENT }),
    ];
    for (const call of calls) {
      await assert.rejects(call(), (error) => {
        assert.ok(isHoldfastError(error, 'BackendRefused'), inspect(error));
        assert.match(error.message, message);
        assert.match(error.advice ?? '', advice);
        assert.ok(error.message.startsWith('backend store: cannot '), error.message);
        assert.ok(error.cause instanceof Error);
        assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes(canary));
        return true;
      });
    }
    await assert.rejects(backend.head('key'), { type: 'BackendRefused' });
  }
});

test('[17] what a service refuses is said in words that help', async (t) => {
  const { backend, proxy } = await behindProxy(t);
  const cases: [number, string, string, RegExp][] = [
    [403, 'RequestTimeTooSkewed', 'BackendRefused', /clock of this host .* differs too much/],
    [400, 'ExpiredToken', 'BackendRefused', /session token has expired/],
    [403, 'AccessDenied', 'BackendRefused', /permission denied/],
    [403, 'QuotaExceeded', 'BackendRefused', /no space left/],
    [400, 'InvalidStorageClass', 'BackendRefused', /status 400 .*InvalidStorageClass: said the proxy/],
    [400, 'BadDigest', 'ObjectDamaged', /does not have the hash/],
  ];
  for (const [status, code, type, message] of cases) {
    proxy.fault = () => ({ kind: 'answer', status, code });
    await assert.rejects(backend.put('key', Buffer.from('x')), { type, message });
  }
});

test('[38] what a service repeats of the request stays out of the error', async (t) => {
  const { backend, proxy } = await behindProxy(t, { sessionToken: 'canary-token' });
  proxy.fault = ({ headers }) => {
    assert.equal(headers['x-amz-security-token'], 'canary-token');
    const detail = '<CanonicalRequest>x-amz-security-token:canary-token</CanonicalRequest>';
    return { kind: 'answer', status: 403, code: 'SignatureDoesNotMatch', detail };
  };
  await assert.rejects(backend.put('key', Buffer.from('x')), (error) => {
    assert.ok(isHoldfastError(error, 'BackendRefused'));
    assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes('canary-token'), inspect(error, { depth: 10 }));
    return true;
  });
});

test('a service that cannot be reached is unreachable, not refused', async (t) => {
  const bucket = await createBucket(t);
  for (const endpoint of ['http://127.0.0.1:9', 'http://no-such-host.invalid:9000']) {
    const backend = openBackend('store', s3Settings(bucket, { endpoint }));
    t.after(() => backend.close());
    await rejects(backend.put('key', Buffer.from('x')), 'BackendUnreachable', 'key');
  }
});

async function behindProxy(t: TestContext, changes: Partial<S3BackendSettings> = {}) {
  const bucket = await createBucket(t);
  const proxy = await startS3Proxy(t);
  const settings = s3Settings(bucket, { endpoint: proxy.endpoint, ...changes });
  const backend = openBackend('store', settings);
  const impatient = openBackend('store', { ...settings, requestTimeout: IMPATIENT });
  t.after(() => {
    backend.close();
    impatient.close();
  });
  return { backend, impatient, proxy };
}

test('a service that lacks a header, and what is no S3 service at all, are refused with what to set', async (t) => {
  const { backend, proxy } = await behindProxy(t);
  proxy.fault = () => ({ kind: 'answer', status: 501, code: 'NotImplemented' });
  await assert.rejects(backend.put('key', Buffer.from('x')), (error) => {
    assert.ok(isHoldfastError(error, 'BackendRefused'));
    assert.match(error.advice ?? '', /checksum: md5/);
    return true;
  });
  assert.equal(proxy.of('PutObject').length, 1);
  for (const answer of [{ status: 200 }, { status: 400, body: '{"status":400}' }]) {
    proxy.fault = () => ({ kind: 'page', ...answer });
    await assert.rejects(collect(backend.list('shop/')), (error) => {
      assert.ok(isHoldfastError(error, 'BackendRefused'));
      assert.match(error.message, /does not speak S3/);
      assert.doesNotMatch(error.message, /hidden field|\$response/);
      return true;
    });
  }
});

test('[21] an abort is over when the service lists no part, or no upload, any more', async (t) => {
  const { backend, proxy } = await behindProxy(t);
  const body = patterned(SEGMENT, 12);
  const { upload } = await sendSegments(backend, 'object', body, SEGMENT);
  const none = {
    kind: 'page',
    status: 200,
    body: '<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>',
  } as const;
  proxy.fault = ({ operation }) => (operation === 'ListParts' ? none : undefined);
  await upload.abort();
  const resumed = await backend.beginUpload('object', { segmentSize: SEGMENT, resume: upload.locator });
  assert.notEqual(resumed.locator, upload.locator);
});

test('[18] a listing that says more follows and not where is no whole listing', async (t) => {
  const { backend, proxy } = await behindProxy(t);
  const answers = [
    '<IsTruncated>true</IsTruncated>',
    '<IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken>',
  ];
  for (const said of answers) {
    const body = `<ListBucketResult>${said}<Contents><Key>shop/a</Key><Size>1</Size></Contents></ListBucketResult>`;
    proxy.fault = () => ({ kind: 'page', status: 200, body });
    await rejects(collect(backend.list('shop/')), 'BackendRefused', 'where to go on');
  }
});
