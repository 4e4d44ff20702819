import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { seal } from '../../../core/seal/seal.ts';
import { unseal } from '../../../core/seal/unseal.ts';
import { chunked, CONTEXT, newAesKey, sealBytes } from './sealing.ts';

const MIB = 2 ** 20;
const COMPRESSION = { type: 'zstd', level: 1 } as const;

/** What a process must not see: node:test itself fails a test on both, so waiting for them is enough. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function* endless(): AsyncGenerator<Buffer> {
  const chunk = randomBytes(65_536);
  for (;;) yield chunk;
}

async function* resettingConnection(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield* chunked(bytes);
  throw new Error('connection reset');
}

async function* dyingDump(): AsyncGenerator<Buffer> {
  for (let chunk = 0; chunk < 200; chunk++) yield randomBytes(65_536);
  throw new Error('the dump died');
}

describe('tearing a seal down half way', () => {
  it('a consumer that stops early leaves nothing unhandled', async () => {
    for (const after of [1, 3, 20]) {
      const sealed = seal(endless(), { compression: COMPRESSION, recipients: [newAesKey()], context: CONTEXT });
      let chunks = 0;
      for await (const chunk of sealed.ciphertext) if (chunk.length > 0 && ++chunks >= after) break;
    }
    await settle();
  });

  it('an abort ends it with the signal’s reason, even while the plaintext hangs', { timeout: 10_000 }, async () => {
    const stop = new AbortController();
    const reason = new Error('stop now');
    const hanging = spawn('sleep', ['60'], { stdio: ['ignore', 'pipe', 'ignore'] });
    try {
      const sealed = seal(hanging.stdout, {
        compression: COMPRESSION,
        recipients: [newAesKey()],
        context: CONTEXT,
        signal: stop.signal,
      });
      setTimeout(() => stop.abort(reason), 50);
      await assert.rejects(async () => {
        for await (const chunk of sealed.ciphertext) assert.ok(chunk);
      }, reason);
      await settle();
    } finally {
      hanging.kill();
    }
  });

  it('an abort in mid-stream ends it with the signal’s reason', async () => {
    const stop = new AbortController();
    const sealed = seal(endless(), {
      compression: COMPRESSION,
      recipients: [newAesKey()],
      context: CONTEXT,
      signal: stop.signal,
    });
    let bytes = 0;
    await assert.rejects(async () => {
      for await (const chunk of sealed.ciphertext)
        if ((bytes += chunk.length) > 10 * MIB) stop.abort(new Error('enough'));
    }, /enough/);
    await settle();
  });

  it('the failure of the plaintext is the failure of the ciphertext', async () => {
    const sealed = seal(dyingDump(), { compression: COMPRESSION, recipients: [newAesKey()], context: CONTEXT });
    await assert.rejects(async () => {
      for await (const chunk of sealed.ciphertext) assert.ok(chunk);
    }, /^Error: the dump died$/);
    await settle();
  });
});

describe('tearing an unseal down half way', () => {
  for (const type of ['zstd', 'gzip'] as const) {
    it(`a consumer of ${type} that stops early leaves nothing unhandled`, async () => {
      const key = newAesKey();
      const ciphertext = await sealBytes(randomBytes(12 * MIB), { recipients: [key], compression: { type, level: 1 } });
      const opened = unseal(chunked(ciphertext), { compression: type, keys: [key], context: CONTEXT });
      for await (const chunk of opened.plaintext) if (chunk.length > 0) break;
      await settle();
    });

    it(`the failure of the storage passes through ${type} as it is`, async () => {
      const key = newAesKey();
      const ciphertext = await sealBytes(randomBytes(12 * MIB), { recipients: [key], compression: { type, level: 1 } });
      const opened = unseal(resettingConnection(ciphertext.subarray(0, 7 * MIB)), {
        compression: type,
        keys: [key],
        context: CONTEXT,
      });
      await assert.rejects(async () => {
        for await (const chunk of opened.plaintext) assert.ok(chunk);
      }, /^Error: connection reset$/);
      await settle();
    });
  }

  it('an abort ends it with the signal’s reason, even while the storage hangs', { timeout: 10_000 }, async () => {
    const key = newAesKey();
    const ciphertext = await sealBytes(randomBytes(3 * MIB), { recipients: [key] });
    async function* hanging(): AsyncGenerator<Uint8Array> {
      yield* chunked(ciphertext.subarray(0, 2 * MIB));
      await new Promise(() => undefined);
    }
    const stop = new AbortController();
    const opened = unseal(hanging(), { compression: 'zstd', keys: [key], context: CONTEXT, signal: stop.signal });
    setTimeout(() => stop.abort(new Error('stop now')), 50);
    await assert.rejects(async () => {
      for await (const chunk of opened.plaintext) assert.ok(chunk);
    }, /^Error: stop now$/);
    await settle();
  });
});
