import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBackend } from '../../../core/storage/openBackend.ts';
import { readingAhead } from '../../../core/storage/readAhead.ts';
import { createBucket } from '../../support/servers.ts';
import { patterned, readAll } from '../../support/segments.ts';
import { firstOf, startS3Proxy } from '../../support/s3Proxy.ts';
import { s3Settings } from '../../support/s3Settings.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { rejects } from './conformance.ts';

const MIB = 2 ** 20;

test('reading ahead gives the same bytes in the same order, in several ranges side by side', async (t) => {
  const proxy = await startS3Proxy(t);
  const backend = openBackend('far', s3Settings(await createBucket(t), { endpoint: proxy.endpoint }));
  t.after(() => backend.close());
  const ahead = readingAhead(backend);
  for (const bytes of [0, 1, 4 * MIB, 4 * MIB + 1, 19 * MIB + 7]) {
    const body = patterned(bytes, bytes);
    await backend.put(`object-${bytes}`, body);
    assert.ok(body.equals(await readAll(await ahead.get(`object-${bytes}`))), String(bytes));
  }
  const ranges = proxy.of('GetObject').length;
  await readAll(await ahead.get(`object-${19 * MIB + 7}`));
  assert.equal(proxy.of('GetObject').length - ranges, 5);
  const part = await readAll(await ahead.get(`object-${19 * MIB + 7}`, { range: { start: 3, end: 6 * MIB } }));
  assert.ok(
    patterned(19 * MIB + 7, 19 * MIB + 7)
      .subarray(3, 6 * MIB)
      .equals(part),
  );
});

test('[14] what fails while reading ahead fails the stream, and a missing object is missing', async (t) => {
  const proxy = await startS3Proxy(t);
  const backend = openBackend('far', s3Settings(await createBucket(t), { endpoint: proxy.endpoint }));
  t.after(() => backend.close());
  const ahead = readingAhead(backend);
  await rejects(ahead.get('nowhere'), 'ObjectMissing', 'nowhere');
  const body = patterned(20 * MIB, 1);
  await backend.put('object', body);
  const stopping = new AbortController();
  const stream = await ahead.get('object', { signal: stopping.signal });
  const reason = new Error('enough');
  const reading = (async () => {
    for await (const chunk of stream) if ((chunk as Buffer).length > 0) stopping.abort(reason);
  })();
  await assert.rejects(reading, (error) => error === reason);
  // Leaving early leaves nothing unhandled.
  for await (const chunk of await ahead.get('object')) if ((chunk as Buffer).length > 0) break;
  proxy.fault = firstOf('GetObject', 100, { kind: 'answer', status: 503, code: 'SlowDown' });
  await rejects(readAll(await ahead.get('object')), 'BackendUnreachable', 'object');
});

test('a local directory is read as it is', async (t) => {
  const backend = openBackend('near', { type: 'local', path: await temporaryDirectory(t) });
  assert.equal(readingAhead(backend), backend);
});
