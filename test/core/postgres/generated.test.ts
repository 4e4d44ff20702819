import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { generatedStream } from '../../../core/postgres/generated.ts';

async function* textWithoutEnd() {
  yield 'first';
  await new Promise(() => undefined);
}

test('[3] an abort ends a generated part at once, though its next piece never comes', async () => {
  const stopping = new AbortController();
  const { plaintext, finished } = generatedStream(textWithoutEnd, stopping.signal);
  const [first] = (await once(plaintext, 'data')) as [Buffer];
  assert.equal(first.toString(), 'first');
  const closed = once(plaintext, 'close').catch(() => undefined);
  const reason = new Error('enough');
  stopping.abort(reason);
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error('still waiting')), 2_000).unref());
  await assert.rejects(Promise.race([finished, late]), reason);
  await Promise.race([closed, late]);
});
