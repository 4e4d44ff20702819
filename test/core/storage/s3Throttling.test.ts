import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { isHoldfastError } from '../../../core/errors.ts';
import { openBackend } from '../../../core/storage/openBackend.ts';
import { createBucket } from '../../support/servers.ts';
import { firstOf, startS3Proxy } from '../../support/s3Proxy.ts';
import { s3Settings } from '../../support/s3Settings.ts';

async function behindProxy(t: TestContext) {
  const bucket = await createBucket(t);
  const proxy = await startS3Proxy(t);
  const backend = openBackend('store', s3Settings(bucket, { endpoint: proxy.endpoint }));
  t.after(() => backend.close());
  return { backend, proxy };
}

async function millisecondsOf(step: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await step();
  return performance.now() - begun;
}

const forms: Record<string, () => string> = {
  seconds: () => '7',
  'a date': () => new Date(Date.now() + 8_000).toUTCString(),
};

for (const [form, retryAfter] of Object.entries(forms)) {
  test(`[14] Retry-After is honoured by every request to the backend: ${form}`, async (t) => {
    const { backend, proxy } = await behindProxy(t);
    proxy.fault = firstOf('PutObject', 1, {
      kind: 'answer',
      status: 503,
      code: 'SlowDown',
      headers: { 'retry-after': retryAfter() },
    });
    // The SDK alone would wait for six seconds at most.
    const putting = millisecondsOf(() => backend.put('key', Buffer.from('x')));
    while (proxy.requests.length === 0) await new Promise(setImmediate);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok((await millisecondsOf(() => backend.head('key'))) > 6_200);
    assert.ok((await putting) > 6_500);
    assert.equal(proxy.of('PutObject').length, 2);
  });
}

test('[14] who asks to be left alone for long is, and the caller is told for how long', async (t) => {
  const { backend, proxy } = await behindProxy(t);
  proxy.fault = () => ({ kind: 'answer', status: 429, headers: { 'retry-after': '600' } });
  for (let calls = 0; calls < 3; calls += 1) {
    await assert.rejects(backend.put('key', Buffer.from('x')), (error) => {
      assert.ok(isHoldfastError(error, 'BackendUnreachable'));
      assert.ok(error.retryAfter && error.retryAfter > 590_000 && error.retryAfter <= 600_000, `${error.retryAfter}`);
      return true;
    });
  }
  assert.equal(proxy.requests.length, 1, 'the others did not even ask');
});

test(
  '[14] throttling makes requests rarer, and calm lets them become frequent again',
  { timeout: 90_000 },
  async (t) => {
    const { backend, proxy } = await behindProxy(t);
    const look = () => millisecondsOf(() => backend.head('key'));
    assert.ok((await look()) < 1_000);
    proxy.fault = firstOf('HeadObject', 1, { kind: 'answer', status: 503 });
    await backend.head('key');
    proxy.fault = firstOf('PutObject', 2, { kind: 'answer', status: 503, code: 'SlowDown' });
    await backend.put('key', Buffer.from('x'));
    assert.ok((await look()) + (await look()) > 500, 'not as often as before');
    for (let quick = 0; quick < 5;) quick = (await look()) < 100 ? quick + 1 : 0;
  },
);
