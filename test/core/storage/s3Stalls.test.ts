import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { Backend } from '../../../core/storage/backend.ts';
import { openBackend } from '../../../core/storage/openBackend.ts';
import { startGatedProxy } from '../../support/gatedProxy.ts';
import { collect, patterned, readAll } from '../../support/segments.ts';
import { createBucket } from '../../support/servers.ts';
import { s3Settings } from '../../support/s3Settings.ts';
import { rejects } from './conformance.ts';

/** A network that falls silent without closing anything: every kind of request has to notice, and be tried again. */

const SEGMENT = 5 * 2 ** 20;
const PATIENCE = 700;

async function behindGate(t: TestContext) {
  const bucket = await createBucket(t);
  const direct = openBackend('store', s3Settings(bucket));
  const proxy = await startGatedProxy(t);
  const backend = openBackend('store', s3Settings(bucket, { endpoint: proxy.endpoint, requestTimeout: PATIENCE }));
  t.after(() => {
    direct.close();
    backend.close();
  });
  return { direct, backend, proxy };
}

/** Enough keys for a listing that comes in more than one packet. */
async function fill(backend: Backend): Promise<void> {
  for (let count = 0; count < 30; count += 1) await backend.put(`folder/object-${count}`, Buffer.from('x'));
}

const kinds: Record<string, (backend: Backend) => Promise<unknown>> = {
  put: (backend) => backend.put('key', patterned(SEGMENT, 1)),
  head: (backend) => backend.head('folder/object-1'),
  list: (backend) => collect(backend.list('folder/')),
  listDirectories: (backend) => collect(backend.listDirectories('')),
  listUploads: (backend) => collect(backend.listUploads('')),
  beginUpload: (backend) => backend.beginUpload('key', { segmentSize: SEGMENT }),
  get: async (backend) => readAll(await backend.get('folder/object-1')),
  delete: (backend) => backend.delete('folder/object-1'),
};

describe('a request that is never answered', { concurrency: 4 }, () => {
  for (const [kind, call] of Object.entries(kinds)) {
    test(
      `[14] a request that is never answered is noticed, and tried again: ${kind}`,
      { timeout: 60_000 },
      async (t) => {
        const { direct, backend, proxy } = await behindGate(t);
        await fill(direct);
        proxy.gate = { answerBytes: 0 };
        const begun = Date.now();
        await rejects(call(backend), 'BackendUnreachable', 'store');
        const took = Date.now() - begun;
        assert.ok(took > PATIENCE && took < 20 * PATIENCE, `${took} ms`);
        assert.ok(proxy.connections >= 2, `${proxy.connections} connections`);
        proxy.gate = {};
        await call(backend);
      },
    );
  }
});

test('[14] an answer that stops in the middle is noticed, and asked for again', { timeout: 60_000 }, async (t) => {
  const { direct, backend, proxy } = await behindGate(t);
  await fill(direct);
  proxy.gate = { answerBytes: 1_000 };
  await rejects(collect(backend.list('folder/')), 'BackendUnreachable', 'store');
  assert.ok(proxy.connections >= 2);
  proxy.gate = {};
  assert.equal((await collect(backend.list('folder/'))).length, 30);
});

test('[14] a body that the service stops taking is noticed, and sent again', { timeout: 60_000 }, async (t) => {
  const { backend, proxy } = await behindGate(t);
  const body = patterned(32 * 2 ** 20, 2);
  proxy.gate = { requestBytes: 2 ** 20 };
  const begun = Date.now();
  await rejects(backend.put('key', body), 'BackendUnreachable', 'store');
  assert.ok(Date.now() - begun > PATIENCE);
  assert.ok(proxy.connections >= 2);
  setTimeout(() => (proxy.gate = {}), 1.5 * PATIENCE);
  await backend.put('key', body);
});

test('[14] a body that moves slowly is no stall, however long it takes', { timeout: 60_000 }, async (t) => {
  const { direct, backend, proxy } = await behindGate(t);
  // Kernels on both ends hold some megabytes: only a body well above that is seen to move.
  const body = patterned(48 * 2 ** 20, 3);
  proxy.gate = { requestRate: 16 * 2 ** 20 };
  const begun = Date.now();
  await backend.put('key', body);
  assert.ok(Date.now() - begun > 3 * PATIENCE, `${Date.now() - begun} ms were no proof`);
  assert.equal(proxy.connections, 1);
  assert.equal((await direct.head('key'))?.bytes, body.length);
});
