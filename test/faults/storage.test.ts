import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { BackupDocument } from '../support/application.ts';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { firstOf, startS3Proxy, type Fault, type S3Proxy, type WireRequest } from '../support/s3Proxy.ts';
import { testS3 } from '../support/servers.ts';
import { stopHeal } from '../support/runs.ts';
import { assertRestores, copyOf, strays } from '../support/soundness.ts';
import { addBulkyTable } from '../support/smallShop.ts';

/** A storage that stalls, lies or refuses in the middle of a backup: the backend `far` is behind a proxy that does so. */

const scope = fileScope();
const SEGMENT = 5 * 2 ** 20;
const REQUEST_TIMEOUT = 2_000;
let app: Application;
let proxy: S3Proxy;

before(async () => {
  app = await createApplication(scope);
  proxy = await startS3Proxy(scope);
  const { far } = app.settings.backends;
  assert.ok(far?.type === 's3');
  Object.assign(far, { endpoint: proxy.endpoint, requestTimeout: `${REQUEST_TIMEOUT}ms` });
  const { shop } = app.settings.plans ?? {};
  assert.ok(shop);
  shop.uploads = { retryFor: '15s' };
  await app.save();
  await addBulkyTable(app.database, 100_000);
  await app.startWorker();
});

interface Passing {
  readonly fault: S3Proxy['fault'];
  readonly breakOff?: S3Proxy['breakOff'];
  /** The operation that has to come more than once because of it. */
  readonly again: string;
  /** It fails the step before the storage has a whole segment: an upload without any is begun anew. */
  readonly mayBeginAnew?: true;
}

const segmentNumber = ({ query }: Pick<WireRequest, 'query'>) => Number(query.get('partNumber'));

/** The first so many of one segment, whichever connection they come on. */
function ofSegment(number: number, count: number, fault: Fault): S3Proxy['fault'] {
  const first = firstOf('UploadPart', count, fault);
  return (request) => (segmentNumber(request) === number ? first(request) : undefined);
}

const passing: Record<string, () => Passing> = {
  '[14] a connection that is reset in the middle of a segment': () => {
    let broken = 0;
    return {
      fault: () => undefined,
      breakOff: (head) => {
        if (head.operation !== 'UploadPart' || segmentNumber(head) !== 2 || broken === 2) return undefined;
        broken += 1;
        return SEGMENT / 2;
      },
      again: 'UploadPart',
    };
  },
  '[14] a storm of 503 SlowDown with Retry-After': () => {
    const headers = { 'retry-after': '1' };
    const storm = firstOf('UploadPart', 6, { kind: 'answer', status: 503, code: 'SlowDown', headers });
    return { fault: storm, again: 'UploadPart' };
  },
  '[14] a storm of 429': () => ({
    fault: firstOf('PutObject', 3, { kind: 'answer', status: 429, code: 'TooManyRequests' }),
    again: 'PutObject',
  }),
  '[14] a segment that is never answered': () => ({ fault: ofSegment(1, 2, { kind: 'hang' }), again: 'UploadPart' }),
  '[14] a read-back that stalls': () => ({
    fault: firstOf('GetObject', 2, { kind: 'stallBody', after: 1_000 }),
    again: 'GetObject',
  }),
  '[14] a read-back that breaks off': () => ({
    fault: firstOf('GetObject', 2, { kind: 'cutBody', after: SEGMENT }),
    again: 'GetObject',
  }),
  '[15] a Complete that took effect and whose answer never came': () => ({
    fault: firstOf('CompleteMultipartUpload', 1, { kind: 'loseAnswer' }),
    again: 'HeadObject',
  }),
  '[15] a Complete that took effect and was answered 500': () => ({
    fault: firstOf('CompleteMultipartUpload', 8, { kind: 'replaceAnswer', status: 500, code: 'InternalError' }),
    again: 'CompleteMultipartUpload',
  }),
  '[15] a Complete that was answered 200 with an error body and did nothing': () => ({
    fault: firstOf('CompleteMultipartUpload', 5, { kind: 'answer', status: 200, code: 'InternalError' }),
    again: 'CompleteMultipartUpload',
  }),
  '[16] a bit that is changed on its way to the storage': () => ({
    fault: ofSegment(2, 1, { kind: 'flipRequest' }),
    again: 'UploadPart',
    mayBeginAnew: true,
  }),
  '[15] a manifest whose storing took effect and was not answered': () => {
    const once = firstOf('PutObject', 1, { kind: 'loseAnswer' });
    return { fault: (request) => (isManifest(request) ? once(request) : undefined), again: 'PutObject' };
  },
};

for (const [name, harm] of Object.entries(passing)) {
  test(`${name}: passes, the backup is verified and holds what the database holds`, async (t) => {
    const { again, fault, breakOff, mayBeginAnew } = harm();
    let harmed = 0;
    const { code, document } = await backupUnder(
      async (request) => {
        const chosen = await fault(request);
        if (chosen !== undefined) harmed += 1;
        return chosen;
      },
      (head) => {
        const at = breakOff?.(head);
        if (at !== undefined) harmed += 1;
        return at;
      },
    );
    assert.equal(code, 0, JSON.stringify(document));
    assert.ok(harmed > 0, 'the fault was done');
    assert.ok(proxy.of(again).length > 1, `${again} came again`);
    if (!mayBeginAnew) assert.equal(proxy.of('CreateMultipartUpload').length, 1, 'gone on with, not begun anew');
    assert.deepEqual(await strays(app), []);
    await assertRestores(t, app, document.id);
  });
}

interface Lasting {
  readonly fault: S3Proxy['fault'];
  readonly reason: RegExp;
}

const lasting: Record<string, () => Lasting> = {
  '[14] a storage that never stops throttling': () => ({
    fault: always('UploadPart', { kind: 'answer', status: 503, code: 'SlowDown' }),
    reason: /status 503 .*SlowDown/,
  }),
  '[16] a bit that is changed in whatever is read back': () => ({
    fault: always('GetObject', { kind: 'flipBody' }),
    reason: /far.*(hash|SHA-256|differ)/is,
  }),
  '[16] an object that is cut short on the storage': () => ({
    fault: beforeReadBack((body) => body.subarray(0, -1_000)),
    reason: /bytes/,
  }),
  '[16] an object that is emptied on the storage': () => ({
    fault: beforeReadBack(() => Buffer.alloc(0)),
    reason: /bytes/,
  }),
  '[16] an object that is replaced by one of the same size': () => ({
    fault: beforeReadBack((body) => Buffer.alloc(body.length, 'other')),
    reason: /hash|SHA-256|differ/i,
  }),
  '[17] a session token that expires in the middle of the upload': () => ({
    fault: (request) =>
      request.operation === 'UploadPart' && segmentNumber(request) > 1
        ? { kind: 'answer', status: 400, code: 'ExpiredToken' }
        : undefined,
    reason: /token has expired/,
  }),
  '[17] a clock that is 16 minutes off': () => ({
    fault: () => ({ kind: 'redate', milliseconds: -16 * 60_000 }),
    reason: /clock of this host .* differs too much/,
  }),
};

for (const [name, harm] of Object.entries(lasting)) {
  test(`${name}: degraded with the reason, never published there, and the other copies are good`, async (t) => {
    const { fault, reason } = harm();
    const { code, document } = await backupUnder(fault);
    assert.equal(code, 3, JSON.stringify(document));
    assert.deepEqual(
      document.copies.map(({ backend, state }) => [backend, state]),
      [
        ['local', 'verified'],
        ['near', 'verified'],
        ['far', 'failed'],
      ],
    );
    assert.match(document.reasons.join('\n'), /^No copy on far: /);
    assert.match(document.reasons.join('\n'), reason);
    assert.deepEqual(
      [...(await copyOf(app, 'far', document.id)).keys()].filter((key) => key.endsWith('.json')),
      [],
    );
    await assertRestores(t, app, document.id, ['near', 'local']);
  });
}

test('[16] two objects of a copy that are swapped on the storage are found by the read-back', async () => {
  let swapped = false;
  const { code, document } = await backupUnder(async ({ operation, path }) => {
    if (operation !== 'GetObject' || swapped) return undefined;
    swapped = true;
    const folder = path.split('/').slice(2, -1).join('/');
    const objects = [...(await app.stores.far.objects())].filter(([key]) => key.startsWith(folder));
    const [one, other] = [
      objects.find(([key]) => key.includes('/schema.')),
      objects.find(([key]) => key.includes('/globals.')),
    ];
    assert.ok(one && other);
    await overwrite(one[0], other[1]);
    await overwrite(other[0], one[1]);
    return undefined;
  });
  assert.equal(code, 3, JSON.stringify(document));
  assert.ok(swapped);
  assert.match(document.reasons.join('\n'), /^No copy on far: /);
});

test('[14] [19] what a copy that failed for its storage left there is taken back as soon as that is possible', async () => {
  assert.deepEqual(await strays(app), []);
});

async function backupUnder(
  fault: S3Proxy['fault'],
  breakOff: S3Proxy['breakOff'] = () => undefined,
): Promise<{ code: number | null; document: BackupDocument }> {
  proxy.requests.length = 0;
  Object.assign(proxy, { fault, breakOff });
  try {
    const answer = await app.backup('shop', '--kind', 'database');
    await stopHeal(app, answer.document);
    return answer;
  } finally {
    Object.assign(proxy, { fault: () => undefined, breakOff: () => undefined });
  }
}

function always(operation: string, fault: Fault): S3Proxy['fault'] {
  return (request) => (request.operation === operation ? fault : undefined);
}

/** Changes the largest object of the copy on the storage just before it is read for the first time. */
function beforeReadBack(change: (body: Buffer) => Buffer): S3Proxy['fault'] {
  const changeObject = async (path: string) => {
    const key = path.split('/').slice(2).join('/');
    const body = (await app.stores.far.objects()).get(key);
    assert.ok(body);
    await overwrite(key, change(body));
  };
  let changed: Promise<void> | undefined;
  return async ({ operation, path }) => {
    if (operation !== 'GetObject' || !path.includes('/database.dump')) return undefined;
    // A request that is sent again because this one takes long must not overtake the change.
    changed ??= changeObject(path);
    try {
      await changed;
    } catch (error) {
      // The request fails and is sent again: then it has to be done.
      changed = undefined;
      throw error;
    }
    return undefined;
  };
}

/** Past Holdfast and the proxy. */
async function overwrite(key: string, body: Buffer): Promise<void> {
  const { endpoint, region, accessKeyId, secretAccessKey } = testS3();
  const { far } = app.settings.backends;
  assert.ok(far?.type === 's3');
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  try {
    await client.send(new PutObjectCommand({ Bucket: far.bucket, Key: key, Body: body }));
  } finally {
    client.destroy();
  }
}

function isManifest({ path }: WireRequest): boolean {
  return path.endsWith('/manifest.json');
}
