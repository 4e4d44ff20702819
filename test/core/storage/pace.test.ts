import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Backend } from '../../../core/storage/backend.ts';
import { openBackend } from '../../../core/storage/openBackend.ts';
import { createPace } from '../../../core/storage/pace.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { hashesOf, patterned } from '../../support/segments.ts';
import { createBucket } from '../../support/servers.ts';
import { firstOf, startS3Proxy } from '../../support/s3Proxy.ts';
import { s3Settings } from '../../support/s3Settings.ts';

const RATE = 2 ** 20;

async function millisecondsOf(step: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await step();
  return performance.now() - begun;
}

const kinds: Record<string, (t: TestContext) => Promise<Backend>> = {
  s3: async (t) => openBackend('store', s3Settings(await createBucket(t), { bandwidth: RATE })),
  local: async (t) => {
    const directory = path.join(await temporaryDirectory(t), 'copies');
    await mkdir(directory);
    return openBackend('store', { type: 'local', path: directory, bandwidth: RATE });
  },
};

for (const [kind, open] of Object.entries(kinds)) {
  test(`a backend is sent no more a second than its bandwidth, whoever sends: ${kind}`, async (t) => {
    const backend = await open(t);
    t.after(() => backend.close());
    const body = patterned(RATE / 2, 1);
    const upload = await backend.beginUpload('object', { segmentSize: RATE / 2 });
    const took = await millisecondsOf(() =>
      Promise.all([
        upload.putSegment(1, body, hashesOf(body)),
        upload.putSegment(2, body, hashesOf(body)),
        backend.put('other', body),
        backend.put('another', body),
      ]),
    );
    assert.ok(took > 1_800, `${took} ms`);
    await upload.abort();
  });
}

test('tries that fail count too', async (t) => {
  const proxy = await startS3Proxy(t);
  const settings = s3Settings(await createBucket(t), { bandwidth: RATE, endpoint: proxy.endpoint });
  const backend = openBackend('store', settings);
  t.after(() => backend.close());
  proxy.fault = firstOf('PutObject', 2, { kind: 'answer', status: 500 });
  assert.ok((await millisecondsOf(() => backend.put('key', patterned(RATE / 2, 1)))) > 1_400);
});

test('a changed limit is felt at once by who waits, and goes with who set it', async () => {
  const pace = createPace(1_000);
  const waiting = pace.take(10 ** 9);
  pace.override('first', 10);
  pace.override('second', null);
  await waiting;
  assert.equal(pace.limit, null);
  pace.release('second');
  assert.equal(pace.limit, 10);
  pace.release('nobody');
  pace.release('first');
  assert.equal(pace.limit, 1_000);
});

test('who waits for its turn ends soon after its signal', async () => {
  const pace = createPace(1_000);
  const stop = new AbortController();
  const waiting = pace.take(10 ** 9, stop.signal);
  setTimeout(() => stop.abort(new Error('no longer wanted')), 50);
  await assert.rejects(waiting, /no longer wanted/);
});
