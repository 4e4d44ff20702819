import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { isHoldfastError, type ErrorType } from '../../../core/errors.ts';
import type { Backend } from '../../../core/storage/backend.ts';
import { collect, hashesOf, patterned, readAll, sendSegments } from '../../support/segments.ts';

/** The contract of core/storage/backend.ts as tests, run over every kind of backend. */

/** Gives a function that opens the same empty storage again and again, as separate processes would. */
export type OpenStorage = (t: TestContext) => Promise<() => Backend>;

/** The S3 minimum of a segment that is not the last. */
const SEGMENT = 5 * 2 ** 20;

export function conformsToContract(kind: string, openStorage: OpenStorage): void {
  const check = (promise: string, body: (open: () => Backend) => Promise<void>): void =>
    void test(`${kind}: ${promise}`, async (t) => {
      const backends: Backend[] = [];
      const openAgain = await openStorage(t);
      try {
        await body(() => {
          const backend = openAgain();
          backends.push(backend);
          return backend;
        });
      } finally {
        for (const backend of backends) backend.close();
      }
    });

  check('what is put is read back, with its size and age', async (open) => {
    const backend = open();
    const body = patterned(300_000, 1);
    assert.equal(await backend.put('shop/daily/one.json', body, { hashes: hashesOf(body) }), 'stored');
    assert.deepEqual(await readAll(await backend.get('shop/daily/one.json')), body);
    const found = await backend.head('shop/daily/one.json');
    assert.equal(found?.bytes, body.length);
    assert.ok(Math.abs(Date.now() - (found?.modifiedAt.getTime() ?? 0)) < 60_000);
  });

  check('an empty object is an object', async (open) => {
    const backend = open();
    await backend.put('empty', Buffer.alloc(0));
    assert.equal((await backend.head('empty'))?.bytes, 0);
    assert.equal((await readAll(await backend.get('empty'))).length, 0);
    const upload = await backend.beginUpload('empty-upload', { segmentSize: SEGMENT });
    await upload.complete({ segments: 0, bytes: 0 });
    assert.equal((await backend.head('empty-upload'))?.bytes, 0);
    assert.deepEqual(await collect(backend.listUploads('')), []);
  });

  check('ranges are exact and stop at the end', async (open) => {
    const backend = open();
    const body = patterned(100_000, 2);
    await backend.put('ranged', body);
    for (const [start, end] of [
      [0, 1],
      [4095, 8193],
      [99_999, 100_000],
      [50_000, 200_000],
      [10, 10],
    ] as const) {
      assert.deepEqual(
        await readAll(await backend.get('ranged', { range: { start, end } })),
        body.subarray(start, end),
      );
    }
    await rejects(backend.get('ranged', { range: { start: 100_000, end: 100_001 } }), 'InvalidInput', 'ranged');
  });

  check('what is missing is missing', async (open) => {
    const backend = open();
    assert.equal(await backend.head('no/such/object'), undefined);
    await rejects(backend.get('no/such/object'), 'ObjectMissing', 'no/such/object');
    assert.deepEqual(await collect(backend.list('no/such/')), []);
    assert.deepEqual(await collect(backend.listDirectories('no/such/')), []);
  });

  check('a put replaces whole, and with ifAbsent leaves alone', async (open) => {
    const backend = open();
    await backend.put('key', Buffer.from('the first, longer one'));
    await backend.put('key', Buffer.from('second'));
    assert.equal((await readAll(await backend.get('key'))).toString(), 'second');
    assert.equal(await backend.put('key', Buffer.from('third'), { ifAbsent: true }), 'exists');
    assert.equal((await readAll(await backend.get('key'))).toString(), 'second');
    assert.equal(await backend.put('other', Buffer.from('third'), { ifAbsent: true }), 'stored');
  });

  check('lists come in key order and by prefix', async (open) => {
    const backend = open();
    const keys = ['a-b', 'a/b/c', 'a/b-c', 'a.b', 'ab', 'b/x', 'ä/1', 'z', '\u{ff5e}', '\u{1f600}'];
    for (const key of keys) await backend.put(key, Buffer.from(key));
    const listed = await collect(backend.list(''));
    const inOrder = keys.toSorted((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
    assert.deepEqual(
      listed.map(({ key }) => key),
      inOrder,
    );
    assert.deepEqual(
      listed.map(({ bytes }) => bytes),
      inOrder.map((key) => Buffer.byteLength(key)),
    );
    assert.deepEqual(
      (await collect(backend.list('a/b'))).map(({ key }) => key),
      ['a/b-c', 'a/b/c'],
    );
    assert.deepEqual(
      (await collect(backend.list('a/b/'))).map(({ key }) => key),
      ['a/b/c'],
    );
  });

  check('directories are listed without what lies below them', async (open) => {
    const backend = open();
    for (const key of ['shop/daily/1/m', 'shop/daily/2/m', 'shop/weekly/1/m', 'shop/file', 'wiki/daily/1/m']) {
      await backend.put(key, Buffer.from('x'));
    }
    assert.deepEqual(await collect(backend.listDirectories('')), ['shop', 'wiki']);
    assert.deepEqual(await collect(backend.listDirectories('shop/')), ['daily', 'weekly']);
    assert.deepEqual(await collect(backend.listDirectories('shop/daily/')), ['1', '2']);
  });

  check('deleting is idempotent and leaves no empty folder behind', async (open) => {
    const backend = open();
    await backend.put('deep/er/one', Buffer.from('1'));
    await backend.put('deep/two', Buffer.from('2'));
    await backend.delete('deep/er/one');
    await backend.delete('deep/er/one');
    await backend.delete('never/was/there');
    assert.equal(await backend.head('deep/er/one'), undefined);
    assert.deepEqual(await collect(backend.listDirectories('deep/')), []);
    assert.deepEqual(
      (await collect(backend.list(''))).map(({ key }) => key),
      ['deep/two'],
    );
  });

  check('segments may come out of order, side by side and twice', async (open) => {
    const backend = open();
    const body = patterned(3 * SEGMENT + 77, 3);
    const upload = await backend.beginUpload('shop/database.dump', { segmentSize: SEGMENT });
    const send = (number: number) => {
      const segment = body.subarray((number - 1) * SEGMENT, number * SEGMENT);
      return upload.putSegment(number, segment, hashesOf(segment));
    };
    await Promise.all([send(4), send(2)]);
    await Promise.all([send(3), send(1)]);
    await send(2);
    assert.equal(await backend.head('shop/database.dump'), undefined, 'invisible before complete');
    assert.deepEqual(
      (await upload.listSegments()).map(({ number, bytes }) => [number, bytes]),
      [
        [1, SEGMENT],
        [2, SEGMENT],
        [3, SEGMENT],
        [4, 77],
      ],
    );
    await upload.complete({ segments: 4, bytes: body.length });
    assert.deepEqual(await readAll(await backend.get('shop/database.dump')), body);
    assert.deepEqual(await collect(backend.listUploads('')), []);
  });

  check('an upload goes on from another process', async (open) => {
    const body = patterned(2 * SEGMENT + 5, 4);
    const segment = (number: number) => body.subarray((number - 1) * SEGMENT, number * SEGMENT);
    const first = await open().beginUpload('resumed', { segmentSize: SEGMENT });
    await first.putSegment(2, segment(2), hashesOf(segment(2)));
    await first.putSegment(1, segment(1), hashesOf(segment(1)));

    const second = await open().beginUpload('resumed', { segmentSize: SEGMENT, resume: first.locator });
    assert.equal(second.locator, first.locator);
    assert.deepEqual(
      (await second.listSegments()).map(({ number, bytes, sha256 }) => [number, bytes, sha256]),
      [1, 2].map((number) => [number, SEGMENT, hashesOf(segment(number)).sha256]),
    );
    await second.putSegment(3, segment(3), hashesOf(segment(3)));
    await second.complete({ segments: 3, bytes: body.length });
    assert.deepEqual(await readAll(await open().get('resumed')), body);
  });

  check('an upload that nobody knows begins anew', async (open) => {
    const backend = open();
    const gone = await backend.beginUpload('anew', { segmentSize: SEGMENT });
    await gone.abort();
    for (const resume of [gone.locator, '../../etc', 'nonsense']) {
      const upload = await backend.beginUpload('anew', { segmentSize: SEGMENT, resume });
      assert.notEqual(upload.locator, resume);
      assert.deepEqual(await upload.listSegments(), []);
      await upload.abort();
    }
  });

  check('[21] uploads left behind are listed and aborted, and an aborted one leaves nothing', async (open) => {
    const backend = open();
    const body = patterned(SEGMENT, 5);
    const { upload: older } = await sendSegments(backend, 'shop/older', body, SEGMENT);
    await delay(1_100);
    const { upload: newer } = await sendSegments(backend, 'shop/newer', body, SEGMENT);
    await sendSegments(backend, 'wiki/other', body, SEGMENT);
    const pending = await collect(open().listUploads('shop/'));
    assert.deepEqual(
      pending.map(({ key, locator }) => [key, locator]),
      [
        ['shop/older', older.locator],
        ['shop/newer', newer.locator],
      ],
    );
    assert.ok(pending.every(({ begunAt }) => Math.abs(Date.now() - begunAt.getTime()) < 60_000));
    for (const upload of pending) await open().abortUpload(upload);
    for (const upload of pending) await open().abortUpload(upload);
    assert.deepEqual(await collect(backend.listUploads('shop/')), []);
    assert.equal((await collect(backend.listUploads(''))).length, 1);
    await assert.rejects(older.complete({ segments: 1, bytes: body.length }));
    assert.deepEqual(await collect(backend.list('')), []);
  });

  check('[16] complete with another size or number of segments is refused', async (open) => {
    const backend = open();
    const body = patterned(SEGMENT + 9, 6);
    const { upload } = await sendSegments(backend, 'sized', body, SEGMENT);
    await rejects(upload.complete({ segments: 2, bytes: body.length + 1 }), 'BackendRefused', 'sized');
    await rejects(upload.complete({ segments: 3, bytes: body.length }), 'BackendRefused', 'sized');
    await rejects(upload.complete({ segments: 1, bytes: SEGMENT }), 'BackendRefused', 'sized');
    assert.equal(await backend.head('sized'), undefined);
    await upload.complete({ segments: 2, bytes: body.length });
    assert.equal((await backend.head('sized'))?.bytes, body.length);
  });

  check('[16] bytes that do not have the hash given are refused', async (open) => {
    const backend = open();
    const body = patterned(SEGMENT, 7);
    const wrong = hashesOf(Buffer.from('something else'));
    await rejects(backend.put('wrong', body, { hashes: wrong }), 'ObjectDamaged', 'wrong');
    assert.equal(await backend.head('wrong'), undefined);
    const upload = await backend.beginUpload('wrong', { segmentSize: SEGMENT });
    await rejects(upload.putSegment(1, body, wrong), 'ObjectDamaged', 'wrong');
    assert.deepEqual(await upload.listSegments(), []);
    await upload.abort();
  });

  check('segments that cannot fit are refused', async (open) => {
    const upload = await open().beginUpload('big', { segmentSize: SEGMENT });
    const body = patterned(SEGMENT + 1, 8);
    await rejects(upload.putSegment(1, body, hashesOf(body)), 'InvalidInput', 'big');
    await upload.abort();
  });

  check('every method stops with the reason of its signal', async (open) => {
    const backend = open();
    const body = patterned(8 * 2 ** 20, 9);
    for (let number = 0; number < 3; number += 1) await backend.put(`many/${number}`, body);
    const reason = new Error('asked to stop');
    const signal = AbortSignal.abort(reason);
    const upload = await backend.beginUpload('stopped', { segmentSize: 8 * 2 ** 20 });
    const calls: [string, () => Promise<unknown>][] = [
      ['put', () => backend.put('stopped', body, { signal })],
      ['get', () => backend.get('many/1', { signal })],
      ['head', () => backend.head('many/1', signal)],
      ['list', () => collect(backend.list('', signal))],
      ['listDirectories', () => collect(backend.listDirectories('', signal))],
      ['listUploads', () => collect(backend.listUploads('', signal))],
      ['delete', () => backend.delete('many/1', signal)],
      ['beginUpload', () => backend.beginUpload('other', { segmentSize: SEGMENT, signal })],
      ['putSegment', () => upload.putSegment(1, body, hashesOf(body), signal)],
      ['listSegments', () => upload.listSegments(signal)],
      ['complete', () => upload.complete({ segments: 1, bytes: body.length }, signal)],
      ['abort', () => upload.abort(signal)],
    ];
    for (const [name, call] of calls) await assert.rejects(call(), (error) => error === reason, name);
    assert.equal((await backend.head('many/1'))?.bytes, body.length);

    const controller = new AbortController();
    const listing = backend.list('', controller.signal)[Symbol.asyncIterator]();
    await listing.next();
    const stream = await backend.get('many/2', { signal: controller.signal });
    const putting = backend.put('stopped', body, { signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(putting, (error) => error === reason);
    await assert.rejects(readAll(stream), (error) => error === reason);
    assert.equal(await backend.head('stopped'), undefined);
    await upload.abort();
    assert.deepEqual(await collect(backend.listUploads('')), []);
  });

  check('a stream that is not read to its end can be let go of', async (open) => {
    const backend = open();
    await backend.put('long', patterned(8 * 2 ** 20, 10));
    for (let round = 0; round < 3; round += 1) {
      const stream = await backend.get('long');
      for await (const chunk of stream) {
        assert.ok((chunk as Buffer).length > 0);
        break;
      }
      assert.ok(stream.destroyed);
      (await backend.get('long')).destroy();
    }
    assert.equal((await readAll(await backend.get('long'))).length, 8 * 2 ** 20);
  });

  check('odd but legal keys are kept as they are', async (open) => {
    const backend = open();
    const keys = [
      'spaces and \'quotes\' "here"',
      'plus+per%25cent&amp;<tag>#hash?query=1',
      '~tilde/…dots/.hidden/..almost',
      'ünï/日本語/😀',
      '*[glob]{1}$HOME`x`|;:@,!()=',
      `${'n'.repeat(200)}/${'m'.repeat(200)}`,
    ];
    for (const key of keys) await backend.put(key, Buffer.from(key));
    for (const key of keys) {
      assert.equal((await readAll(await backend.get(key))).toString(), key);
      assert.deepEqual(
        (await collect(backend.list(key))).map((object) => object.key),
        [key],
      );
    }
    for (const key of keys) await backend.delete(key);
    assert.deepEqual(await collect(backend.list('')), []);
  });

  check('keys that lead out of the storage are refused', async (open) => {
    const backend = open();
    const bad = [
      '../out',
      'a/../../out',
      '/etc/passwd',
      'a//b',
      'a/./b',
      '',
      'a/',
      'nul\0',
      'line\nbreak',
      'back\\slash',
    ];
    for (const key of [...bad, 'x'.repeat(256), 'y/'.repeat(600) + 'y', '\ud800']) {
      await rejects(backend.put(key, Buffer.from('x')), 'InvalidInput', 'refused');
      await rejects(backend.get(key), 'InvalidInput', 'refused');
      await rejects(backend.head(key), 'InvalidInput', 'refused');
      await rejects(backend.delete(key), 'InvalidInput', 'refused');
      await rejects(backend.beginUpload(key, { segmentSize: SEGMENT }), 'InvalidInput', 'refused');
    }
    for (const prefix of ['../', '/', 'a/../']) {
      await rejects(collect(backend.list(prefix)), 'InvalidInput', 'refused');
      await rejects(collect(backend.listDirectories(prefix)), 'InvalidInput', 'refused');
      await rejects(collect(backend.listUploads(prefix)), 'InvalidInput', 'refused');
    }
  });

  check('[18] more than 1,000 keys and directories are all listed', async (open) => {
    const backend = open();
    const keys = Array.from({ length: 1_050 }, (_, index) => `many/${String(index).padStart(5, '0')}/manifest.json`);
    await times(keys.length, async (index) => void (await backend.put(keys[index] ?? '', Buffer.from('x'))));
    assert.deepEqual(
      (await collect(backend.list('many/'))).map(({ key }) => key),
      keys,
    );
    assert.equal((await collect(backend.listDirectories('many/'))).length, keys.length);
  });

  check('[18] more than 1,000 segments and uploads are all listed', async (open) => {
    const backend = open();
    const upload = await backend.beginUpload('fine/grained', { segmentSize: 3 });
    await times(1_050, (index) => upload.putSegment(index + 1, Buffer.from('abc'), hashesOf(Buffer.from('abc'))));
    const resumed = await open().beginUpload('fine/grained', { segmentSize: 3, resume: upload.locator });
    const numbers = (await resumed.listSegments()).map(({ number }) => number);
    assert.deepEqual(
      numbers,
      Array.from({ length: 1_050 }, (_, index) => index + 1),
    );
    await resumed.abort();

    const begun = new Set<string>();
    await times(1_050, async (index) => {
      begun.add((await backend.beginUpload(`pending/${index}`, { segmentSize: SEGMENT })).locator);
    });
    const pending = await collect(backend.listUploads('pending/'));
    assert.deepEqual(new Set(pending.map(({ locator }) => locator)), begun);
  });
}

/** Rejects with a HoldfastError of the type whose message names the backend and what it was about. */
export async function rejects(work: Promise<unknown>, type: ErrorType, about: string): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(isHoldfastError(error, type), `expected ${type}, got ${String(error)}`);
    assert.match(error.message, /^backend \S+: /);
    assert.ok(error.message.includes(about), `${error.message} does not mention ${about}`);
    return true;
  });
}

/** Runs `work` for 0 to `count - 1`, 16 at a time. */
async function times(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const runner = async () => {
    while (next < count) {
      next += 1;
      await work(next - 1);
    }
  };
  await Promise.all(Array.from({ length: 16 }, runner));
}
