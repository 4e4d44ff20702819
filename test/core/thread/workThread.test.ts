import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { HoldfastError, isHoldfastError } from '../../../core/errors.ts';
import type { Manifest, ManifestPart } from '../../../core/repository/manifest.ts';
import { loadAesKey } from '../../../core/seal/keys.ts';
import { seal } from '../../../core/seal/seal.ts';
import { unseal } from '../../../core/seal/unseal.ts';
import { createWorkThread } from '../../../core/thread/workThread.ts';

const key = () => loadAesKey(randomBytes(32).toString('hex'), 'test');
const context = { backup: '20261120T020000Z-7f3k9q', part: 'inventory', source: 'shop' };
const compression = { type: 'zstd', level: 1 } as const;

function threadFor(t: TestContext) {
  const work = createWorkThread();
  t.after(() => work.close());
  return work;
}

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < bytes.length; offset += size) yield bytes.subarray(offset, offset + size);
}

async function* hanging() {
  yield randomBytes(100_000);
  await sleep(60_000, undefined, { ref: false });
}

async function* slow() {
  for (let piece = 0; piece < 50; piece++) {
    yield randomBytes(500_000);
    await sleep(20);
  }
}

/** Copies: what the thread hands out is good until the next chunk only. */
async function gather(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const chunk of chunks) copies.push(Buffer.from(chunk));
  return Buffer.concat(copies);
}

/** Overwrites each chunk once the next one is asked for, as memory that is used again does. */
async function* reused(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    const lent = Buffer.from(chunk);
    yield lent;
    lent.fill(0xee);
  }
}

test('what the thread seals opens to the same bytes, and is counted at both ends', async (t) => {
  const work = threadFor(t);
  const recipient = key();
  const original = Buffer.concat([randomBytes(5_000_000), Buffer.alloc(9_000_000, 'row '), randomBytes(17)]);
  const sealed = work.seal(inPieces(original, 70_001), { compression, recipients: [recipient], context });
  const ciphertext = await gather(sealed.ciphertext);
  assert.equal(sealed.totals().originalBytes, original.length);
  assert.equal(sealed.totals().storedBytes, ciphertext.length);
  const opened = unseal(inPieces(ciphertext, 999_983), { compression: 'zstd', keys: [recipient], context });
  assert.ok((await gather(opened.plaintext)).equals(original));
  assert.equal(opened.totals().compressedBytes, sealed.totals().compressedBytes);
});

test('opening keeps no chunk that its source may use again', async () => {
  const recipient = key();
  const original = Buffer.concat([randomBytes(1_500_000), Buffer.alloc(6_000_000, 'row ')]);
  const ciphertext = await gather(
    seal(inPieces(original, 65_536), { compression, recipients: [recipient], context }).ciphertext,
  );
  for (const size of [61, 4_096, 1_048_576]) {
    const source = reused(inPieces(ciphertext, size));
    const opened = unseal(source, { compression: 'zstd', keys: [recipient], context });
    assert.ok((await gather(opened.plaintext)).equals(original), `in chunks of ${size} bytes`);
  }
});

test('several parts are sealed side by side without getting mixed', async (t) => {
  const work = threadFor(t);
  const recipient = key();
  const parts = Array.from({ length: 5 }, (_, index) => Buffer.alloc(2_000_000 + index, `part ${index} `));
  const sealed = await Promise.all(
    parts.map((bytes) =>
      gather(work.seal(inPieces(bytes, 10_000), { compression, recipients: [recipient], context }).ciphertext),
    ),
  );
  for (const [index, ciphertext] of sealed.entries()) {
    const { plaintext } = unseal(inPieces(ciphertext, 50_000), { compression: 'zstd', keys: [recipient], context });
    assert.ok((await gather(plaintext)).equals(parts[index] ?? Buffer.alloc(0)));
  }
});

test('a source that fails is told of by its own error', async (t) => {
  const work = threadFor(t);
  const reason = new HoldfastError('Stalled', 'no byte came');
  async function* failing() {
    yield randomBytes(100_000);
    throw reason;
  }
  const { ciphertext } = work.seal(failing(), { compression, recipients: [key()], context });
  await assert.rejects(gather(ciphertext), (error) => error === reason);
});

test('an abort ends a seal whose source hangs, with the reason', async (t) => {
  const work = threadFor(t);
  const stop = new AbortController();
  const { ciphertext } = work.seal(hanging(), { compression, recipients: [key()], context, signal: stop.signal });
  const reason = new Error('enough');
  setTimeout(() => stop.abort(reason), 50);
  await assert.rejects(gather(ciphertext), (error) => error === reason);
});

test('a reader that leaves lets go of the source', async (t) => {
  const work = threadFor(t);
  let released = false;
  async function* endless() {
    try {
      for (;;) yield randomBytes(100_000);
    } finally {
      released = true;
    }
  }
  for await (const chunk of work.seal(endless(), { compression, recipients: [key()], context }).ciphertext) {
    assert.ok(chunk.length > 0);
    break;
  }
  await sleep(500);
  assert.ok(released);
});

test('a thread that dies fails what it worked on, and the next task gets a new one', async (t) => {
  const work = threadFor(t);
  const recipient = key();
  const sealing = gather(work.seal(slow(), { compression, recipients: [recipient], context }).ciphertext);
  setTimeout(() => void work.close(), 300);
  await assert.rejects(sealing, /other thread ended/);
  const again = work.seal(inPieces(Buffer.from('again'), 2), { compression, recipients: [recipient], context });
  assert.ok((await gather(again.ciphertext)).length > 5);
});

test('a part is opened on the thread, and what is wrong with it keeps type and advice', async (t) => {
  const work = threadFor(t);
  const recipient = key();
  const json = Buffer.from('{"not": "an inventory"}\n');
  const sealed = seal(inPieces(json, 1_000), { compression, recipients: [recipient], context });
  const ciphertext = await gather(sealed.ciphertext);
  const part = {
    ...sealed.totals(),
    part: context.part,
    format: 'json',
    compression,
    objects: [],
  } as unknown as ManifestPart;
  const manifest = { id: context.backup, source: context.source, parts: [part] } as unknown as Manifest;
  const open = (bytes: Buffer, openingKeys = [recipient], opened = part) =>
    work.openPart(manifest, opened, inPieces(bytes, 100), { openingKeys, pgRestore: undefined });

  await assert.rejects(
    open(ciphertext),
    (error) => isHoldfastError(error, 'DumpFailed') && /inventory/.test(error.message),
  );
  const flipped = Buffer.from(ciphertext);
  flipped.writeUInt8(flipped.readUInt8(flipped.length - 20) ^ 1, flipped.length - 20);
  await assert.rejects(open(flipped), (error) => isHoldfastError(error, 'ObjectDamaged') && error.advice !== undefined);
  await assert.rejects(open(ciphertext, [key()]), (error) => isHoldfastError(error, 'KeyMissing'));
  // Other JSON than inventories is only read.
  const other = { ...part, part: 'other' };
  const otherContext = { ...context, part: 'other' };
  const otherSealed = await gather(
    seal(inPieces(json, 1_000), { compression, recipients: [recipient], context: otherContext }).ciphertext,
  );
  await open(otherSealed, [recipient], other);
});
