import assert from 'node:assert/strict';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { PutObjectLegalHoldCommand, S3Client } from '@aws-sdk/client-s3';
import { HoldfastError } from '../../../core/errors.ts';
import type { Backend } from '../../../core/storage/backend.ts';
import { openBackend } from '../../../core/storage/openBackend.ts';
import type { S3BackendSettings } from '../../../core/storage/s3Profiles.ts';
import type { LiveRun } from '../../../core/sweep/liveRuns.ts';
import { sweepBackend, type SweepBackendOptions } from '../../../core/sweep/sweepBackend.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { s3Settings } from '../../support/s3Settings.ts';
import { collect, hashesOf, patterned } from '../../support/segments.ts';
import { startS3Proxy } from '../../support/s3Proxy.ts';
import { createBucket } from '../../support/servers.ts';

/** What a sweep takes and what it leaves, on a directory and on a real S3 server. */

const HOUR = 3_600_000;
const DEAD = 'shop/manual/20260101T020000Z-dead00/';
const DATABASE = `${DEAD}database.dump.zst.enc`;
const SEGMENT = 5 * 2 ** 20;
const ignored = { onSwept: () => undefined, onKept: () => undefined, onProblem: () => undefined };

const storages = {
  local: async (t: TestContext) => openBackend('disk', { type: 'local', path: await temporaryDirectory(t) }),
  s3: async (t: TestContext) => openBackend('store', s3Settings(await createBucket(t), { prefix: 'prod' })),
};

for (const [kind, open] of Object.entries(storages)) {
  const opened = async (t: TestContext): Promise<Backend> => {
    const backend = await open(t);
    t.after(() => backend.close());
    return backend;
  };

  test(`[21] ${kind}: uploads and objects of a dead run are swept, and nothing else`, async (t) => {
    const backend = await opened(t);
    await put(backend, DATABASE, `${DEAD}media.tar.zst.enc.001`);
    await beginUpload(backend, `${DEAD}media.tar.zst.enc`);
    const published = 'shop/daily/20260102T020000Z-good00/';
    const staying = [
      `${published}database.dump.zst.enc`,
      `${published}manifest.json`,
      // Ours by its folder, but no name that a part gets.
      `${DEAD}notes.txt`,
      `${DEAD}deeper.enc/database.dump.zst.enc`,
      'shop/manual/20260101T020000Z-dead00.enc',
      'shop/hourly/20260101T020000Z-dead00/database.dump.zst.enc',
      'shop/manual/20260231T020000Z-dead00/database.dump.zst.enc',
      'photos/cat.jpg',
      'readme',
    ];
    await put(backend, ...staying);
    await beginUpload(backend, `${published}media.tar.zst.enc`);
    await beginUpload(backend, 'photos/dog.jpg');

    const report = await sweepBackend(optionsFor(backend));
    assert.deepEqual(
      report.swept.toSorted((a, b) => b.objects - a.objects),
      [
        { folder: DEAD, objects: 2, uploads: 1, bytes: 20 },
        { folder: published, objects: 0, uploads: 1, bytes: 0 },
      ],
    );
    assert.deepEqual([report.kept, report.problems], [[], []]);
    assert.equal(report.foreign, 8);
    assert.deepEqual(await keysOf(backend), staying.toSorted());
    assert.deepEqual(
      (await collect(backend.listUploads(''))).map(({ key }) => key),
      ['photos/dog.jpg'],
    );
    assert.deepEqual((await sweepBackend(optionsFor(backend))).swept, [], 'a second sweep finds nothing');
  });

  test(`[21] ${kind}: what a live run may write stays: the backup it names, or all of the source it names`, async (t) => {
    const backend = await opened(t);
    const other = 'wiki/daily/20260101T020000Z-dead00/config.tar.zst.enc';
    const second = 'shop/manual/20260103T020000Z-dead01/database.dump.zst.enc';
    await put(backend, DATABASE, second, other);
    await beginUpload(backend, `${DEAD}media.tar.zst.enc`);
    const sweptWith = async (...live: LiveRun[]) => {
      const report = await sweepBackend(optionsFor(backend, { dryRun: true, liveRuns: async () => live }));
      for (const { why } of report.kept) assert.match(why, /^the-run is under way/);
      assert.equal(report.kept.length + report.swept.length, 3);
      return report.swept.map(({ folder }) => folder.split('/')[2]?.slice(-6) + folder.slice(0, 4)).toSorted();
    };
    const run = 'the-run';
    assert.deepEqual(await sweptWith(), ['dead00shop', 'dead00wiki', 'dead01shop']);
    assert.deepEqual(await sweptWith({ run, source: 'shop', backup: '20260103T020000Z-dead01' }), [
      'dead00shop',
      'dead00wiki',
    ]);
    const since = (startedAt: string) => ({ run, source: 'shop', backup: 'of-now', startedAt: new Date(startedAt) });
    assert.deepEqual(
      await sweptWith(since('2026-01-03T02:00:00.900Z')),
      ['dead00shop', 'dead00wiki'],
      'it may have begun again',
    );
    assert.deepEqual((await sweptWith(since('2026-01-03T02:00:01Z'))).length, 3);
    assert.deepEqual(await sweptWith({ run, source: 'shop' }), ['dead00wiki'], 'a heal');
    assert.deepEqual(await sweptWith({ run }), [], 'a run that has not said anything yet');
    assert.equal((await keysOf(backend)).length, 3, 'a dry run removes nothing');
    assert.equal((await collect(backend.listUploads(''))).length, 1);
  });
}

test('[21] nothing is removed while Temporal does not say which runs live', async (t) => {
  const backend = await storages.local(t);
  await put(backend, DATABASE);
  await beginUpload(backend, `${DEAD}media.tar.zst.enc`);
  const away = new HoldfastError('TemporalUnreachable', 'nobody answers');
  await assert.rejects(sweepBackend(optionsFor(backend, { liveRuns: () => Promise.reject(away) })), away);
  assert.deepEqual(await keysOf(backend), [DATABASE]);
  assert.equal((await collect(backend.listUploads(''))).length, 1);
});

test('what is young stays: by the time in the id, and by the newest object or upload', async (t) => {
  const root = await temporaryDirectory(t);
  const backend = openBackend('disk', { type: 'local', path: root });
  const now = new Date('2026-01-02T00:00:00Z');
  const age = (key: string, hours: number) => {
    const time = new Date(now.getTime() - hours * HOUR);
    return utimes(join(root, key), time, time);
  };
  const recent = 'shop/manual/20260101T230000Z-recent/database.dump.zst.enc';
  const healing = 'shop/manual/20251201T020000Z-healin/database.dump.zst.enc';
  const old = 'shop/manual/20251202T020000Z-oldest/database.dump.zst.enc';
  await put(backend, recent, healing, old);
  await age(recent, 30);
  await age(healing, 2);
  await age(old, 30);
  const report = await sweepBackend(optionsFor(backend, { now, minimumAge: 24 * HOUR }));
  assert.deepEqual(
    report.swept.map(({ folder }) => folder),
    [old.replace('database.dump.zst.enc', '')],
  );
  assert.deepEqual(
    report.kept.map(({ why }) => why),
    ['younger than 24h 0m', 'younger than 24h 0m'],
  );
  // However small the age that is asked for: the list of running ones is a moment behind.
  const again = await sweepBackend(optionsFor(backend, { now: new Date(now.getTime() - 2 * HOUR + 9_000) }));
  assert.ok(again.kept.some(({ folder, why }) => healing.startsWith(folder) && why === 'younger than 10.0 s'));
});

test('a claimed folder keeps its objects and loses its uploads; one of an unknown source keeps both', async (t) => {
  const backend = await storages.local(t);
  const stranger = 'stranger/manual/20260101T020000Z-dead00/';
  await put(backend, DATABASE, `${stranger}database.dump.zst.enc`);
  await beginUpload(backend, `${DEAD}media.tar.zst.enc`);
  await beginUpload(backend, `${stranger}media.tar.zst.enc`);
  const report = await sweepBackend(optionsFor(backend, { findClaim: async () => 'somebody needs them' }));
  assert.deepEqual(report.swept, [{ folder: DEAD, objects: 0, uploads: 1, bytes: 0 }]);
  assert.deepEqual(report.kept.map(({ folder }) => folder).toSorted(), [DEAD, stranger]);
  assert.equal((await keysOf(backend)).length, 2);
  assert.equal((await collect(backend.listUploads(''))).length, 1);
});

test('a manifest that came after the first look keeps its folder', async (t) => {
  const backend = await storages.local(t);
  await put(backend, DATABASE);
  const liveRuns = async () => {
    await backend.put(`${DEAD}manifest.json`, Buffer.from('{}'));
    return [];
  };
  const report = await sweepBackend(optionsFor(backend, { liveRuns }));
  assert.deepEqual(report.swept, []);
  assert.deepEqual(await keysOf(backend), [DATABASE, `${DEAD}manifest.json`]);
});

test('[18] more than 1,000 objects and 1,000 uploads of a dead run are swept to the last', async (t) => {
  const backend = await storages.s3(t);
  t.after(() => backend.close());
  const count = 1_005;
  const names = Array.from({ length: count }, (_, index) => `${DEAD}rows-${index + 1}.dump.zst.enc`);
  for (let at = 0; at < count; at += 15) {
    await Promise.all(names.slice(at, at + 15).map((key) => backend.put(key, Buffer.from('0123456789'))));
    await Promise.all(
      names.slice(at, at + 15).map((key) => backend.beginUpload(`${key}.001`, { segmentSize: SEGMENT })),
    );
  }
  const report = await sweepBackend(optionsFor(backend));
  assert.deepEqual(report.swept, [{ folder: DEAD, objects: count, uploads: count, bytes: 10 * count }]);
  assert.deepEqual(await keysOf(backend), []);
  assert.deepEqual(await collect(backend.listUploads('')), []);
});

test('[22] a deletion that is refused is reported, and keeps nothing else from being swept', async (t) => {
  const proxy = await startS3Proxy(t);
  const backend = openBackend('locked', s3Settings(await createBucket(t), { endpoint: proxy.endpoint }));
  t.after(() => backend.close());
  await put(backend, DATABASE, `${DEAD}media.tar.zst.enc`, DATABASE.replace('dead00', 'dead01'));
  proxy.fault = ({ operation, path }) =>
    operation === 'DeleteObject' && path.endsWith(DATABASE)
      ? { kind: 'answer', status: 403, code: 'AccessDenied' }
      : undefined;
  const report = await sweepBackend(optionsFor(backend));
  assert.equal(report.problems.length, 1);
  assert.match(report.problems[0] ?? '', /^backend locked: cannot delete .*dead00\/database\.dump\.zst\.enc: /);
  assert.deepEqual(
    report.swept.map(({ objects }) => objects),
    [1, 1],
  );
  assert.deepEqual(await keysOf(backend), [DATABASE]);
});

test('[22] on a bucket with Object Lock a sweep hides what it removes, once', async (t) => {
  const settings = s3Settings(await createBucket(t, { objectLock: true }));
  const backend = openBackend('locked', settings);
  t.after(() => backend.close());
  await put(backend, DATABASE);
  await holdLegally(settings, DATABASE);
  assert.deepEqual((await sweepBackend(optionsFor(backend))).problems, []);
  assert.deepEqual(await keysOf(backend), []);
  assert.deepEqual((await sweepBackend(optionsFor(backend))).swept, []);
});

test('remnants of probes are swept once they are an hour old', async (t) => {
  const root = await temporaryDirectory(t);
  const backend = openBackend('disk', { type: 'local', path: root });
  await put(backend, 'holdfast-probe/0123/object');
  await beginUpload(backend, 'holdfast-probe/0123/upload');
  await mkdir(join(root, '.holdfast/uploads/00000000-0000-4000-8000-000000000000'), { recursive: true });
  assert.deepEqual((await sweepBackend(optionsFor(backend, { now: inMinutes(58) }))).swept, []);
  const report = await sweepBackend(optionsFor(backend, { now: inMinutes(61) }));
  assert.deepEqual(report.swept, [{ folder: 'holdfast-probe/', objects: 1, uploads: 2, bytes: 10 }]);
  assert.deepEqual(await readdir(root), []);
});

test('the report lists so much and no more, and the listener hears of everything', async (t) => {
  const root = await temporaryDirectory(t);
  for (let index = 0; index < 130; index += 1) {
    const folder = join(root, `shop/manual/20260101T020000Z-${String(index).padStart(6, '0')}`);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'database.dump.zst.enc'), 'x');
  }
  const heard: string[] = [];
  const backend = openBackend('disk', { type: 'local', path: root });
  const report = await sweepBackend(optionsFor(backend, { onSwept: ({ folder }) => void heard.push(folder) }));
  assert.deepEqual([report.swept.length, report.unlisted, heard.length], [100, 30, 130]);
  assert.deepEqual(await readdir(root), []);
});

function optionsFor(backend: Backend, changes: Partial<SweepBackendOptions> = {}): SweepBackendOptions {
  return {
    ...ignored,
    backend,
    sources: ['shop', 'wiki'],
    minimumAge: 0,
    dryRun: false,
    listed: 100,
    liveRuns: async () => [],
    findClaim: async () => undefined,
    // Everything was written just now.
    now: new Date(Date.now() + 60_000),
    signal: new AbortController().signal,
    ...changes,
  };
}

function inMinutes(minutes: number): Date {
  return new Date(Date.now() + minutes * 60_000);
}

async function holdLegally({ bucket, endpoint, region, accessKeyId, secretAccessKey }: S3BackendSettings, key: string) {
  assert.ok(endpoint && region && accessKeyId && secretAccessKey);
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  try {
    await client.send(new PutObjectLegalHoldCommand({ Bucket: bucket, Key: key, LegalHold: { Status: 'ON' } }));
  } finally {
    client.destroy();
  }
}

async function put(backend: Backend, ...keys: string[]): Promise<void> {
  for (const key of keys) await backend.put(key, Buffer.from('0123456789'));
}

async function beginUpload(backend: Backend, key: string): Promise<void> {
  const upload = await backend.beginUpload(key, { segmentSize: SEGMENT });
  const body = patterned(1000, 1);
  await upload.putSegment(1, body, hashesOf(body));
}

async function keysOf(backend: Backend): Promise<string[]> {
  return (await collect(backend.list(''))).map(({ key }) => key);
}
