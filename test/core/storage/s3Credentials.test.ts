import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { openBackends } from '../../../core/config/open.ts';
import { configurationSchema } from '../../../core/config/schema.ts';
import type { Backend } from '../../../core/storage/backend.ts';
import { openBackend } from '../../../core/storage/openBackend.ts';
import type { S3BackendSettings } from '../../../core/storage/s3Profiles.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { collect, hashesOf, patterned } from '../../support/segments.ts';
import { createBucket, testS3 } from '../../support/servers.ts';
import { startS3Proxy } from '../../support/s3Proxy.ts';
import { s3Settings } from '../../support/s3Settings.ts';

const SEGMENT = 5 * 2 ** 20;
const BODY = patterned(SEGMENT, 1);
/** A service that refuses does not read a large body to its end, and the connection breaks. */
const LITTLE = Buffer.from('x');

/** A service that takes the session token `new` only, once it has expired the one before. */
async function withSessions(t: TestContext, changes: Partial<S3BackendSettings> = {}) {
  const bucket = await createBucket(t);
  const proxy = await startS3Proxy(t);
  const backend = openBackend(
    'store',
    s3Settings(bucket, { endpoint: proxy.endpoint, sessionToken: 'old', ...changes }),
  );
  t.after(() => backend.close());
  const expire = () => {
    proxy.fault = ({ headers, method }) =>
      headers['x-amz-security-token'] === 'new'
        ? undefined
        : { kind: 'answer', status: 400, ...(method !== 'HEAD' && { code: 'ExpiredToken' }) };
  };
  return { proxy, backend, expire };
}

const everyKind = async (backend: Backend) => {
  await backend.head('key');
  await backend.put('key', BODY);
  await collect(backend.list(''));
  (await backend.get('key')).destroy();
};

test('[17] an upload whose session token expires goes on with the new one', async (t) => {
  let read = 0;
  const { testKeys, renewed } = renewing('new', () => (read += 1));
  const { backend, proxy, expire } = await withSessions(t, { ...testKeys, renewCredentials: renewed });
  const upload = await backend.beginUpload('object', { segmentSize: SEGMENT });
  await upload.putSegment(1, BODY, hashesOf(BODY));
  expire();
  await Promise.all([2, 3, 4].map((number) => upload.putSegment(number, BODY, hashesOf(BODY))));
  await upload.complete({ segments: 4, bytes: 4 * SEGMENT });
  await everyKind(backend);
  assert.equal(read, 1, 'the secrets were read once for all that were refused');
  assert.ok(proxy.of('CompleteMultipartUpload').length === 1);
});

test('[17] a HEAD, whose refusal says nothing, is tried with new credentials too', async (t) => {
  const { testKeys, renewed } = renewing('new');
  const { backend, expire } = await withSessions(t, { ...testKeys, renewCredentials: renewed });
  expire();
  assert.equal(await backend.head('key'), undefined);
});

test('[17] credentials that have not been renewed yet are waited for where they can be, and refused where not', async (t) => {
  const { testKeys, renewed } = renewing('old');
  const renewable = await withSessions(t, { ...testKeys, renewCredentials: renewed });
  renewable.expire();
  await assert.rejects(renewable.backend.put('key', BODY), { type: 'BackendRefused', retryable: true });
  const fixed = await withSessions(t);
  fixed.expire();
  await assert.rejects(fixed.backend.put('key', BODY), { type: 'BackendRefused', retryable: false });
});

test('[17] secrets in files are read again when the service refuses them', async (t) => {
  const directory = await temporaryDirectory(t);
  const { endpoint, region, accessKeyId, secretAccessKey } = testS3();
  const file = async (name: string, value: string) => {
    await writeFile(path.join(directory, name), value, { mode: 0o600 });
    return { file: path.join(directory, name) };
  };
  const backends = openBackends(
    configurationSchema.parse({
      catalog: { url: { env: 'NONE' } },
      keys: {},
      sources: {},
      backends: {
        store: {
          type: 's3',
          bucket: await createBucket(t),
          endpoint,
          region,
          accessKeyId: await file('id', 'rotated-away'),
          secretAccessKey: await file('secret', 'rotated-away'),
        },
      },
    }),
  );
  t.after(() => backends.close());
  const backend = await backends.get('store');
  await assert.rejects(backend.put('key', LITTLE), { type: 'BackendRefused', retryable: false });
  await file('id', accessKeyId);
  // Not both at once: what is between the two fits neither.
  await assert.rejects(backend.put('key', LITTLE), { type: 'BackendRefused' });
  await file('secret', secretAccessKey);
  await everyKind(backend);
});

test('[17] credentials of the default chain are looked for again when the service refuses them', async (t) => {
  const directory = await temporaryDirectory(t);
  const { accessKeyId, secretAccessKey } = testS3();
  const profile = path.join(directory, 'credentials');
  const write = (id: string, secret: string) =>
    writeFile(profile, `[default]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`);
  const before = { ...process.env };
  t.after(() => Object.assign(process.env, before));
  Object.assign(process.env, { AWS_SHARED_CREDENTIALS_FILE: profile, AWS_CONFIG_FILE: path.join(directory, 'none') });
  for (const name of ['AWS_PROFILE', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) delete process.env[name];
  await write('rotated-away', 'rotated-away');
  const settings = s3Settings(await createBucket(t), { accessKeyId: undefined, secretAccessKey: undefined });
  const backend = openBackend('store', settings);
  t.after(() => backend.close());
  await assert.rejects(backend.head('key'), { type: 'BackendRefused' });
  await write(accessKeyId, secretAccessKey);
  await everyKind(backend);
});

test('[17] a clock that is off is seen through where the service tells its time, and named where that does not help', async (t) => {
  const bucket = await createBucket(t);
  const proxy = await startS3Proxy(t);
  const backend = openBackend('store', s3Settings(bucket, { endpoint: proxy.endpoint }));
  t.after(() => backend.close());
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 16 * 60_000 });
  await everyKind(backend);
  const ago = new Date(Date.now() - 16 * 60_000).toUTCString();
  proxy.fault = () => ({ kind: 'answer', status: 403, headers: { date: ago } });
  await assert.rejects(backend.head('key'), { type: 'BackendRefused', message: /clock of this host/ });
});

function renewing(sessionToken: string, onRead: () => void = () => undefined) {
  const { accessKeyId, secretAccessKey } = testS3();
  return {
    testKeys: { accessKeyId, secretAccessKey },
    renewed: async () => {
      onRead();
      return { accessKeyId, secretAccessKey, sessionToken };
    },
  };
}
