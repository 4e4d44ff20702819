import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import test from 'node:test';
import { isHoldfastError } from '../../../core/errors.ts';
import { readProcess, startProcess } from '../../../core/process/childProcess.ts';

const shell = (script: string) => ({ command: 'sh', args: ['-c', script] });

/** A process that ended but whose parent has not asked yet is still listed, as a zombie. */
function alive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test('[2] a process that fails after its last byte has failed, and says what it wrote to standard error', async () => {
  const { stdout, finished } = startProcess(shell('echo all; echo "disk went away" >&2; exit 3'));
  assert.equal(await text(stdout), 'all\n');
  await assert.rejects(finished, (error) => {
    assert.ok(isHoldfastError(error, 'DumpFailed'));
    assert.match(error.message, /exit code 3.*disk went away/s);
    return true;
  });
});

test('[2] of a line of any length the reason at its end is told', async () => {
  const { stdout, finished } = startProcess(shell('printf "%05000d: disk went away" 0 >&2; exit 3'));
  stdout.resume();
  await assert.rejects(
    finished,
    (error: Error) => error.message.length < 600 && error.message.endsWith(': disk went away'),
  );
});

test('[2] a killed process has failed, whatever it wrote before', async () => {
  const { stdout, finished } = startProcess(shell('echo all; kill -9 $$'));
  assert.equal(await text(stdout), 'all\n');
  await assert.rejects(finished, /SIGKILL/);
});

test('[3] a stopped process is ended with its whole group once it hands out no byte for too long', async () => {
  const { stdout, finished } = startProcess({
    ...shell('sleep 60 & echo $!; kill -STOP $$; wait'),
    stallTimeout: 1_000,
  });
  const output = text(stdout);
  await assert.rejects(finished, (error) => isHoldfastError(error, 'Stalled'));
  const grandchild = Number((await output).trim());
  await sleep(50);
  assert.equal(alive(grandchild), false);
});

test('a reader slower than the process is no stall', async () => {
  const { stdout, finished } = startProcess({ ...shell('head -c 3000000 /dev/zero'), stallTimeout: 1_000 });
  await sleep(2_500);
  assert.equal((await buffer(stdout)).length, 3_000_000);
  assert.equal(await finished, 0);
});

test('an abort ends the group and rejects with its own reason', async () => {
  const abort = new AbortController();
  const { stdout, finished, pid } = startProcess({ ...shell('sleep 60'), signal: abort.signal });
  const output = text(stdout);
  abort.abort(new Error('enough'));
  await assert.rejects(finished, /enough/);
  await output;
  assert.ok(pid !== undefined && !alive(pid));
});

test('a missing program says so by name', async () => {
  await assert.rejects(readProcess({ command: 'no-such-program', args: [] }), (error) => {
    assert.ok(isHoldfastError(error, 'ToolMissing'));
    assert.match(error.message, /no-such-program is not installed/);
    return true;
  });
});

test('[38] the environment of the worker is not handed on', async () => {
  process.env.HOLDFAST_TEST_CANARY = 'canary-value';
  const output = await readProcess({ ...shell('env'), environment: { GIVEN: 'yes' } });
  assert.match(output, /GIVEN=yes/);
  assert.doesNotMatch(output, /canary-value/);
});

test('input is fed, and an input that the process does not want is no failure', async () => {
  assert.equal(await readProcess({ ...shell('cat'), input: Readable.from([Buffer.from('hello')]) }), 'hello');
  assert.equal(await readProcess({ ...shell('echo done'), input: Readable.from([Buffer.alloc(1_000_000)]) }), 'done\n');
});
