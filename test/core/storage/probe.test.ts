import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test, type TestContext } from 'node:test';
import {
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { HoldfastError, isHoldfastError } from '../../../core/errors.ts';
import { probeBackend } from '../../../core/storage/probe/probe.ts';
import type { ProbeReport } from '../../../core/storage/probe/report.ts';
import type { S3BackendSettings } from '../../../core/storage/s3Profiles.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { startS3Proxy, type S3Proxy, type WireRequest } from '../../support/s3Proxy.ts';
import { s3Settings } from '../../support/s3Settings.ts';
import { createBucket, testS3 } from '../../support/servers.ts';

/** What a probe finds on a real S3 server, and on one that is made to lack things; and that it leaves nothing. */

const signal = new AbortController().signal;

test('a bucket of versitygw is as the generic profile says, and nothing of the probe stays', async (t) => {
  const { settings } = await bucket(t, { prefix: 'prod/copies' });
  const report = await probeBackend('store', settings, signal);
  assert.equal(report.state, 'equal', JSON.stringify(report, undefined, 1));
  assert.deepEqual(report.learned, { checksum: 'sha256', conditionalPut: 'yes' });
  const expected = {
    'checksum sha256': 'accepted, a wrong one is refused',
    'checksum md5': 'accepted, a wrong one is refused',
    'checksum crc64nvme': 'accepted, a wrong one is refused',
    'object lock': 'off',
    'conditional put': 'kept',
    consistency: 'what was written is read at once',
    'ranged read': 'yes',
    'list of parts': 'with checksums',
    'parts of unequal size': 'accepted',
    'server-side copy': 'yes',
    deletion: 'deletes',
    'bulk deletion': 'yes',
    clock: 'the same',
  };
  for (const [what, found] of Object.entries(expected)) assert.equal(foundOf(report, what), found, what);
  assert.deepEqual(await leftIn(settings), []);
});

test('a service that ignores or refuses If-None-Match is found out, whatever its profile says', async (t) => {
  const { settings, proxy } = await bucket(t);
  proxy.fault = (request) =>
    conditional(request) ? { kind: 'answer', status: 501, code: 'NotImplemented' } : undefined;
  const refused = await probeBackend('store', { ...settings, provider: 'aws' }, signal);
  assert.equal(refused.state, 'differs');
  assert.deepEqual(stateAndFound(refused, 'conditional put'), ['differs', 'refused (501 NotImplemented)']);
  assert.equal(refused.learned.conditionalPut, 'no');
  proxy.fault = (request) => (conditional(request) ? { kind: 'answer', status: 200 } : undefined);
  const ignored = await probeBackend('store', { ...settings, provider: 'aws' }, signal);
  assert.deepEqual(stateAndFound(ignored, 'conditional put'), ['differs', 'ignored']);
  assert.equal(ignored.learned.conditionalPut, 'no');
  // Whether it is used or not is open in the generic profile, so no answer is wrong.
  const generic = await probeBackend('store', settings, signal);
  assert.deepEqual([generic.state, generic.learned.conditionalPut], ['equal', 'no']);
  assert.deepEqual(await leftIn(settings), []);
});

test('a service without SHA-256 headers is found out, and MD5 learned in its place', async (t) => {
  const { settings, proxy } = await bucket(t);
  proxy.fault = ({ headers }) =>
    Object.keys(headers).some((name) => name.startsWith('x-amz-checksum'))
      ? { kind: 'answer', status: 400, code: 'InvalidArgument' }
      : undefined;
  const report = await probeBackend('store', settings, signal);
  assert.deepEqual(stateAndFound(report, 'checksum sha256'), ['differs', 'refused (400 InvalidArgument)']);
  assert.equal(report.learned.checksum, 'md5');
  assert.equal(foundOf(report, 'consistency'), 'what was written is read at once', 'the rest is tried with MD5');
  assert.equal(report.state, 'differs');
  const b2 = await probeBackend('store', { ...settings, provider: 'b2', region: 'us-east-1' }, signal);
  assert.equal(stateAndFound(b2, 'checksum sha256')[0], 'equal', 'as the profile of B2 says');
  assert.deepEqual(await leftIn(settings), []);
});

test('without the right to delete the probe says so plainly, and names what stays', async (t) => {
  const { settings, proxy } = await bucket(t);
  proxy.fault = ({ operation, query }) =>
    ['DeleteObject', 'AbortMultipartUpload'].includes(operation) || query.has('delete')
      ? { kind: 'answer', status: 403, code: 'AccessDenied' }
      : undefined;
  const report = await probeBackend('store', settings, signal);
  assert.equal(report.state, 'differs');
  assert.deepEqual(stateAndFound(report, 'deletion'), ['differs', 'refused (403 AccessDenied)']);
  const stayed = await leftIn(settings);
  assert.ok(stayed.length > 5);
  for (const key of stayed)
    assert.ok(
      report.leftBehind.some((what) => what.startsWith(key)),
      key,
    );
  assert.match(report.leftBehind[0] ?? '', /permission denied/);
});

test('what fails in the middle is told, the rest is tried, and nothing stays', async (t) => {
  const { settings, proxy } = await bucket(t);
  let parts = 0;
  proxy.fault = ({ operation }) => {
    if (operation === 'UploadPart') parts += 1;
    return operation === 'UploadPart' && parts > 1 ? { kind: 'answer', status: 500, code: 'InternalError' } : undefined;
  };
  const report = await probeBackend('store', settings, signal);
  assert.equal(report.state, 'untried');
  assert.deepEqual(stateAndFound(report, 'multipart upload'), ['untried', 'could not be tried']);
  assert.equal(foundOf(report, 'deletion'), 'deletes');
  assert.deepEqual(report.leftBehind, []);
  assert.deepEqual(await leftIn(settings), []);
});

test('interrupted in the middle, it removes what it made', async (t) => {
  const { settings, proxy } = await bucket(t);
  const interrupted = new AbortController();
  proxy.fault = ({ operation }) => {
    if (operation === 'UploadPart') interrupted.abort(new HoldfastError('Cancelled', 'enough'));
    return undefined;
  };
  await assert.rejects(probeBackend('store', settings, interrupted.signal), /^HoldfastError: enough$/);
  assert.deepEqual(await leftIn(settings), []);
});

test('versions are removed too, and that a deletion only hides is told', async (t) => {
  const { settings } = await bucket(t);
  await withClient((client) =>
    client.send(
      new PutBucketVersioningCommand({ Bucket: settings.bucket, VersioningConfiguration: { Status: 'Enabled' } }),
    ),
  );
  const report = await probeBackend('store', settings, signal);
  assert.equal(foundOf(report, 'versioning'), 'enabled');
  assert.equal(foundOf(report, 'deletion'), 'hides');
  assert.deepEqual(report.leftBehind, []);
  assert.deepEqual(await leftIn(settings), []);
});

test('versions that may not be listed are said to stay', async (t) => {
  const { settings, proxy } = await bucket(t);
  await withClient((client) =>
    client.send(
      new PutBucketVersioningCommand({ Bucket: settings.bucket, VersioningConfiguration: { Status: 'Enabled' } }),
    ),
  );
  proxy.fault = ({ query }) =>
    query.has('versions') ? { kind: 'answer', status: 403, code: 'AccessDenied' } : undefined;
  const report = await probeBackend('store', settings, signal);
  assert.equal(report.state, 'differs');
  assert.match(report.leftBehind.join('\n'), /^versions of holdfast-probe\/\w+\/: .*permission denied/);
});

test('a bucket with Object Lock is told of', async (t) => {
  const name = await createBucket(t, { objectLock: true });
  const report = await probeBackend('store', s3Settings(name), signal);
  assert.equal(foundOf(report, 'object lock'), 'on');
  assert.deepEqual(await leftIn(s3Settings(name)), []);
});

test('nothing can be tried where nobody answers, the secret is wrong or the bucket is missing', async (t) => {
  const { settings } = await bucket(t);
  const wrong: [Partial<S3BackendSettings>, string][] = [
    [{ endpoint: 'http://127.0.0.1:1' }, 'BackendUnreachable'],
    [{ secretAccessKey: 'wrong' }, 'BackendRefused'],
    [{ bucket: 'no-such-bucket' }, 'BackendRefused'],
  ];
  for (const [changes, type] of wrong) {
    const probing = probeBackend('store', { ...settings, ...changes }, signal);
    await assert.rejects(probing, (error) => isHoldfastError(error) && error.type === type);
  }
});

test('a directory is probed too: links, modes, fsync, room; and nothing stays', async (t) => {
  const path = await temporaryDirectory(t);
  const report = await probeBackend('disk', { type: 'local', path }, signal);
  assert.equal(report.state, 'equal', JSON.stringify(report, undefined, 1));
  assert.equal(foundOf(report, 'hard links'), 'yes');
  assert.equal(foundOf(report, 'modes'), '600 and 700');
  assert.deepEqual(await readdir(path), []);
  const missing = probeBackend('disk', { type: 'local', path: `${path}/missing` }, signal);
  await assert.rejects(missing, (error) => isHoldfastError(error) && error.type === 'BackendRefused');
});

function conditional({ headers }: WireRequest): boolean {
  return headers['if-none-match'] !== undefined;
}

async function bucket(
  t: TestContext,
  changes: Partial<S3BackendSettings> = {},
): Promise<{ settings: S3BackendSettings; proxy: S3Proxy }> {
  const proxy = await startS3Proxy(t);
  return { settings: s3Settings(await createBucket(t), { endpoint: proxy.endpoint, ...changes }), proxy };
}

function foundOf({ findings }: ProbeReport, what: string): string | undefined {
  return findings.find((finding) => finding.what === what)?.found;
}

function stateAndFound({ findings }: ProbeReport, what: string): (string | undefined)[] {
  const finding = findings.find((each) => each.what === what);
  return [finding?.state, finding?.found];
}

/** Everything in the bucket, past every fault: objects with all versions, markers, uploads. */
async function leftIn({ bucket: Bucket }: S3BackendSettings): Promise<string[]> {
  return withClient(async (client) => {
    const { Versions = [], DeleteMarkers = [] } = await client.send(new ListObjectVersionsCommand({ Bucket }));
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
    return [...Versions, ...DeleteMarkers, ...Uploads].map(({ Key = '' }) => Key);
  });
}

async function withClient<Result>(use: (client: S3Client) => Promise<Result>): Promise<Result> {
  const { endpoint, region, accessKeyId, secretAccessKey } = testS3();
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  try {
    return await use(client);
  } finally {
    client.destroy();
  }
}
