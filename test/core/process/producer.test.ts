import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isHoldfastError } from '../../../core/errors.ts';
import { startProducer } from '../../../core/process/childProcess.ts';

const shell = (script: string) => ({ command: 'sh', args: ['-c', script] });
/** Every line differs, so that a byte out of place shows. */
const LINES = 'seq 1 3000000';

async function digestOf(chunks: AsyncIterable<Buffer>, pause = (_chunk: number) => Promise.resolve()) {
  const hash = createHash('sha256');
  let count = 0;
  let bytes = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    bytes += chunk.length;
    await pause(count++);
  }
  return { sha256: hash.digest('hex'), bytes };
}

function expected() {
  const hash = createHash('sha256');
  for (let line = 1; line <= 3_000_000; line++) hash.update(`${line}\n`);
  return hash.digest('hex');
}

test('a large output arrives whole, byte for byte, whether its reader is faster or slower', async () => {
  const sha256 = expected();
  for (const pause of [() => Promise.resolve(), (count: number) => sleep(count % 7 === 0 ? 2 : 0)]) {
    const { output, finished, hasBegun } = await startProducer(shell(LINES));
    assert.equal((await digestOf(output, pause)).sha256, sha256);
    assert.equal(hasBegun(), true);
    assert.equal(await finished, 0);
  }
});

test('an output waits for a reader who comes after its program has gone', async () => {
  const { output, finished, gone } = await startProducer(shell('seq 1 1000'));
  await gone;
  assert.equal((await digestOf(output)).bytes, 3893);
  assert.equal(await finished, 0);
});

test('[2] a program that fails after its last byte has failed, and its reader is not left waiting', async () => {
  const { output, finished } = await startProducer(shell('seq 1 1000; echo "disk went away" >&2; exit 3'));
  await digestOf(output);
  await assert.rejects(finished, (error) => {
    assert.ok(isHoldfastError(error, 'DumpFailed'));
    assert.match(error.message, /exit code 3.*disk went away/s);
    return true;
  });
});

test('an output that was not read to its end is not good, though its program ended well', async () => {
  const { output, finished, gone } = await startProducer(shell('seq 1 100000'));
  await output.next();
  await output.return();
  await gone;
  await assert.rejects(finished);
});

test('[3] a program that hands out no byte for too long is ended, one whose reader is slow is not', async () => {
  const stuck = await startProducer({ ...shell('seq 1 1000; kill -STOP $$'), stallTimeout: 1_000 });
  await Promise.all([
    digestOf(stuck.output),
    assert.rejects(stuck.finished, (error) => isHoldfastError(error, 'Stalled')),
  ]);
  const patient = await startProducer({ ...shell('head -c 3000000 /dev/zero'), stallTimeout: 1_000 });
  await sleep(2_500);
  assert.equal((await digestOf(patient.output)).bytes, 3_000_000);
  assert.equal(await patient.finished, 0);
});

test('an abort ends the program and the wait for its next chunk', async () => {
  const abort = new AbortController();
  const { output, finished } = await startProducer({ ...shell('sleep 60'), signal: abort.signal });
  const reading = digestOf(output);
  abort.abort(new Error('enough'));
  await assert.rejects(finished, /enough/);
  await reading;
});

test('an abort ends the wait for a reader though the program is long gone', async () => {
  const abort = new AbortController();
  const { finished, gone } = await startProducer({ ...shell('seq 1 1000'), signal: abort.signal });
  await gone;
  abort.abort(new Error('enough'));
  await assert.rejects(finished, /enough/);
});
