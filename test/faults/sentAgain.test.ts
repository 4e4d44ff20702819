import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createApplication } from '../support/application.ts';
import { until } from '../support/processes.ts';
import { beginBackup, stepsOf } from '../support/runs.ts';
import { startS3Proxy } from '../support/s3Proxy.ts';
import { superviseWorker } from '../support/supervisedWorker.ts';

const MIB = 2 ** 20;
const SEGMENT = 8 * MIB;
const CONNECTIONS = 3;
/** HTTP heads, signatures, listings of parts and read-back requests, all in all. */
const HEADS = MIB;

test('[14] [33] killed at 90 % of an upload: at most one segment per connection is sent again', async (t) => {
  const megabytes = Number(process.env['HOLDFAST_FAULTS_UPLOAD_MB'] ?? 300);
  const app = await createApplication(t);
  const proxy = await startS3Proxy(t, { keepBodies: false });
  const { far } = app.settings.backends;
  assert.ok(far?.type === 's3' && app.settings.spool);
  Object.assign(far, { endpoint: proxy.endpoint, concurrency: CONNECTIONS });
  Object.assign(app.settings.spool, { segmentSize: '8MiB', limit: '4GiB' });
  await app.save();
  await writeNoise(join(app.trees.media, 'film.bin'), megabytes * MIB);
  const worker = await superviseWorker(app);

  // Whatever comes after nine tenths is swallowed until the kill, so that the connections are full at that moment.
  const sent = () => proxy.bodyBytes.get('UploadPart') ?? 0;
  proxy.fault = () => (sent() >= 0.9 * megabytes * MIB ? { kind: 'hang' } : undefined);
  const backup = await beginBackup(app, 'shop', '--kind', 'media', '--backend', 'far', 'local');
  await until(
    'nine tenths of the upload and the end of the dump',
    async () => {
      const dumped = (await stepsOf(app, backup.workflowId)).some(
        ({ name, outcome }) => name === 'dump' && outcome === 'completed',
      );
      return dumped && sent() >= 0.9 * megabytes * MIB ? true : undefined;
    },
    240_000,
  );
  worker.killOnly();
  proxy.fault = () => undefined;
  await worker.restart();
  const result = await backup.ended;
  assert.equal(result.state, 'verified', JSON.stringify(result));
  const [part] = result.parts;
  assert.ok(part);
  const again = sent() - part.storedBytes;
  const onTheWire = proxy.received().reduce((sum, bytes) => sum + bytes, 0);
  t.diagnostic(`${part.storedBytes} bytes stored, ${onTheWire} received in all, ${again} of bodies sent again`);
  assert.ok(again <= CONNECTIONS * SEGMENT, `${again} bytes were sent again`);
  assert.ok(onTheWire <= part.storedBytes + CONNECTIONS * SEGMENT + HEADS, `${onTheWire} bytes on the wire`);
});

async function writeNoise(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (let left = bytes; left > 0; left -= MIB) await file.write(randomBytes(Math.min(left, MIB)));
  } finally {
    await file.close();
  }
}
