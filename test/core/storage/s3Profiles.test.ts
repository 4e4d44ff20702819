import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBackend } from '../../../core/storage/openBackend.ts';
import { s3ProfileOf, type S3BackendSettings } from '../../../core/storage/s3Profiles.ts';
import { createBucket, testS3 } from '../../support/servers.ts';
import { startS3Proxy, type WireRequest } from '../../support/s3Proxy.ts';
import { s3Settings } from '../../support/s3Settings.ts';
import { hashesOf, patterned, readAll, sendSegments } from '../../support/segments.ts';

const SEGMENT = 5 * 2 ** 20;

interface Expectation {
  readonly settings: Partial<S3BackendSettings>;
  readonly checksum: 'x-amz-checksum-sha256' | 'content-md5' | undefined;
  readonly ifNoneMatch: boolean;
  readonly headFirst: boolean;
}

const expectations: Record<string, Expectation> = {
  aws: {
    settings: { provider: 'aws', pathStyle: true },
    checksum: 'x-amz-checksum-sha256',
    ifNoneMatch: true,
    headFirst: false,
  },
  r2: { settings: { provider: 'r2' }, checksum: 'x-amz-checksum-sha256', ifNoneMatch: true, headFirst: false },
  b2: { settings: { provider: 'b2' }, checksum: 'content-md5', ifNoneMatch: false, headFirst: true },
  generic: { settings: { provider: 'generic' }, checksum: 'x-amz-checksum-sha256', ifNoneMatch: true, headFirst: true },
  'generic without checksums': {
    settings: { provider: 'generic', checksum: 'none' },
    checksum: undefined,
    ifNoneMatch: true,
    headFirst: true,
  },
};

for (const [name, { settings, checksum, ifNoneMatch, headFirst }] of Object.entries(expectations)) {
  test(`${name}: bodies go out whole, signed, with the integrity header of the profile and no other`, async (t) => {
    const bucket = await createBucket(t);
    const proxy = await startS3Proxy(t);
    const backend = openBackend(name, s3Settings(bucket, { ...settings, endpoint: proxy.endpoint, prefix: 'prod' }));
    const body = patterned(2 * SEGMENT + 1234, 1);
    await backend.put('small', body.subarray(0, 1000), { hashes: hashesOf(body.subarray(0, 1000)) });
    await backend.put('unhashed', body.subarray(0, 1000));
    const { upload, segments } = await sendSegments(backend, 'large', body, SEGMENT);
    await upload.complete({ segments, bytes: body.length });
    assert.deepEqual(await readAll(await backend.get('large')), body);
    backend.close();

    const parts = proxy.of('UploadPart');
    assert.deepEqual(
      parts.map((part) => part.body.length),
      [SEGMENT, SEGMENT, 1234],
      'all parts but the last are equal',
    );
    for (const sent of [...parts, ...proxy.of('PutObject')]) {
      const hashes = hashesOf(sent.body);
      assert.equal(sent.headers['x-amz-content-sha256'], hashes.sha256);
      assert.equal(sent.headers['content-length'], String(sent.body.length));
      const integrity = integrityHeaders(sent);
      if (checksum === undefined) assert.deepEqual(integrity, {});
      else {
        const hex = checksum === 'content-md5' ? hashes.md5 : hashes.sha256;
        assert.deepEqual(integrity, { [checksum]: Buffer.from(hex ?? '', 'hex').toString('base64') });
      }
    }
    for (const { headers, path } of proxy.requests) {
      assert.ok(path.startsWith(`/${bucket}/prod`), path);
      for (const header of ['x-amz-trailer', 'transfer-encoding', 'content-encoding', 'expect']) {
        assert.equal(headers[header], undefined, header);
      }
      assert.deepEqual(
        Object.keys(headers).filter((header) => header.startsWith('x-amz-object-lock')),
        [],
      );
      if (checksum !== 'x-amz-checksum-sha256') {
        assert.deepEqual(
          Object.keys(headers).filter((header) => header.startsWith('x-amz-checksum-')),
          [],
        );
      }
    }
  });

  test(`${name}: an existing object is left alone the way the profile knows`, async (t) => {
    const bucket = await createBucket(t);
    const proxy = await startS3Proxy(t);
    const backend = openBackend(name, s3Settings(bucket, { ...settings, endpoint: proxy.endpoint }));
    assert.equal(await backend.put('manifest', Buffer.from('1'), { ifAbsent: true }), 'stored');
    assert.equal(await backend.put('manifest', Buffer.from('2'), { ifAbsent: true }), 'exists');
    assert.equal((await readAll(await backend.get('manifest'))).toString(), '1');
    backend.close();
    assert.equal(proxy.of('HeadObject').length > 0, headFirst);
    assert.equal(proxy.of('PutObject')[0]?.headers['if-none-match'], ifNoneMatch ? '*' : undefined);
    assert.equal(proxy.of('PutObject').length, headFirst ? 1 : 2);
  });
}

test('a service that does not know conditional writes is asked by HEAD alone', async (t) => {
  const bucket = await createBucket(t);
  const proxy = await startS3Proxy(t);
  proxy.fault = ({ headers }) =>
    headers['if-none-match'] === undefined ? undefined : { kind: 'answer', status: 501, code: 'NotImplemented' };
  const backend = openBackend('old', s3Settings(bucket, { endpoint: proxy.endpoint }));
  t.after(() => backend.close());
  assert.equal(await backend.put('manifest', Buffer.from('1'), { ifAbsent: true }), 'stored');
  assert.equal(await backend.put('manifest', Buffer.from('2'), { ifAbsent: true }), 'exists');
});

test('the hash given is the hash signed: the body is not hashed again', async (t) => {
  const bucket = await createBucket(t);
  const proxy = await startS3Proxy(t);
  const backend = openBackend('store', s3Settings(bucket, { endpoint: proxy.endpoint, checksum: 'none' }));
  t.after(() => backend.close());
  const other = hashesOf(Buffer.from('other bytes'));
  const upload = await backend.beginUpload('key', { segmentSize: SEGMENT });
  await assert.rejects(upload.putSegment(1, Buffer.from('bytes'), other), { type: 'ObjectDamaged', retryable: true });
  assert.equal(proxy.of('UploadPart')[0]?.headers['x-amz-content-sha256'], other.sha256);
});

test('storage class and encryption at rest are asked for where an object begins, and only there', async (t) => {
  const bucket = await createBucket(t);
  const proxy = await startS3Proxy(t);
  const settings = { endpoint: proxy.endpoint, storageClass: 'STANDARD', serverSideEncryption: 'AES256' as const };
  const backend = openBackend('store', s3Settings(bucket, settings));
  t.after(() => backend.close());
  // Not every server has either; what counts here is what is asked for.
  proxy.fault = ({ operation, headers }) => {
    if (!['PutObject', 'CreateMultipartUpload', 'UploadPart'].includes(operation)) return undefined;
    const begins = operation !== 'UploadPart';
    assert.equal(headers['x-amz-storage-class'], begins ? 'STANDARD' : undefined, operation);
    assert.equal(headers['x-amz-server-side-encryption'], begins ? 'AES256' : undefined, operation);
    return { kind: 'answer', status: 400, code: 'InvalidStorageClass' };
  };
  await assert.rejects(backend.put('key', Buffer.from('x')), { type: 'BackendRefused' });
  await assert.rejects(backend.beginUpload('key', { segmentSize: SEGMENT }), { type: 'BackendRefused' });
  assert.deepEqual(
    proxy.requests.map(({ operation }) => operation),
    ['PutObject', 'CreateMultipartUpload'],
  );
});

test('an object of more than 10,000 segments is refused before it is sent', async (t) => {
  const bucket = await createBucket(t);
  const backend = openBackend('store', s3Settings(bucket));
  t.after(() => backend.close());
  const upload = await backend.beginUpload('key', { segmentSize: SEGMENT });
  await assert.rejects(upload.putSegment(10_001, Buffer.from('x'), hashesOf(Buffer.from('x'))), {
    type: 'BackendRefused',
    advice: 'Raise spool.segmentSize.',
  });
});

test('an upload begun with another segment size is not mixed with ours', async (t) => {
  const bucket = await createBucket(t);
  const backend = openBackend('store', s3Settings(bucket));
  t.after(() => backend.close());
  const { upload } = await sendSegments(backend, 'key', patterned(3 * SEGMENT, 2), SEGMENT);
  const resumed = await backend.beginUpload('key', { segmentSize: SEGMENT + 1, resume: upload.locator });
  assert.notEqual(resumed.locator, upload.locator);
  assert.deepEqual(await resumed.listSegments(), []);
});

test('endpoints and regions follow from the provider', () => {
  const { endpoint: _, region: __, ...bare } = s3Settings('bucket');
  const profile = (changes: Partial<S3BackendSettings>) => s3ProfileOf('store', { ...bare, ...changes });
  assert.deepEqual(
    [profile({ provider: 'r2', accountId: 'abc' }), profile({ provider: 'b2', region: 'us-east-005' })].map(
      ({ endpoint, region }) => [endpoint, region],
    ),
    [
      ['https://abc.r2.cloudflarestorage.com', 'auto'],
      ['https://s3.us-east-005.backblazeb2.com', 'us-east-005'],
    ],
  );
  const aws = profile({ provider: 'aws', region: 'eu-central-1' });
  assert.deepEqual([aws.endpoint, aws.region, aws.pathStyle], [undefined, 'eu-central-1', false]);
  const lacking: [Partial<S3BackendSettings>, string][] = [
    [{ provider: 'aws' }, 'region'],
    [{ provider: 'b2' }, 'region'],
    [{ provider: 'r2' }, 'accountId'],
    [{ provider: 'generic' }, 'endpoint'],
  ];
  for (const [changes, key] of lacking) {
    assert.throws(() => profile(changes), {
      type: 'InvalidConfiguration',
      message: `backend store: ${key} is missing`,
    });
  }
  const { secretAccessKey: ___, ...halfACredential } = s3Settings('bucket', { endpoint: testS3().endpoint });
  assert.throws(() => openBackend('store', halfACredential), { type: 'InvalidConfiguration' });
});

function integrityHeaders({ headers }: WireRequest): Record<string, unknown> {
  const isIntegrity = (name: string) => name === 'content-md5' || /checksum/.test(name);
  return Object.fromEntries(Object.entries(headers).filter(([name]) => isIntegrity(name)));
}
