import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { renderView, showProgress, type ProgressView } from '../../client/progress.ts';
import { createTerminal, type OutputStream } from '../../client/terminal.ts';

function collector(isTTY: boolean): OutputStream & { text: string } {
  const stream = Object.assign(
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        stream.text += chunk.toString();
        done();
      },
    }),
    { text: '', isTTY, columns: 100, rows: 40 },
  );
  return stream;
}

const VIEWS: readonly ProgressView[] = [
  { phase: 'checking', lines: [] },
  {
    phase: 'dumping',
    lines: [{ label: 'database', done: 1024, total: 4096, rate: 2048, state: 'running' }],
    timeLeft: 61_000,
  },
  { phase: 'dumping', lines: [{ label: 'database', done: 4096, total: 4096, state: 'done' }] },
  { phase: 'opening', lines: [] },
];

/** Shows the views one poll after the other, then ends; one poll in between fails. */
async function showAll(settings: { isTTY: boolean; json: boolean }) {
  const stdout = collector(false);
  const stderr = collector(settings.isTTY);
  const interrupted = new AbortController().signal;
  const terminal = createTerminal({ stdout, stderr, json: settings.json, verbose: false, interrupted });
  const done = new AbortController();
  const polls: (() => ProgressView)[] = VIEWS.map((view) => () => view);
  polls.splice(2, 0, () => {
    throw new Error('the query failed');
  });
  const poll = async () => {
    const next = polls.shift();
    if (next) return next();
    done.abort();
    return undefined;
  };
  if (settings.json) setTimeout(() => done.abort(), 50);
  await showProgress({ terminal, poll, signal: done.signal, interval: 1 });
  return { stdout: stdout.text, stderr: stderr.text };
}

test('without a terminal each new phase is one plain line', async () => {
  const { stdout, stderr } = await showAll({ isTTY: false, json: false });
  assert.equal(stderr, 'holdfast: checking\nholdfast: dumping\nholdfast: opening\n');
  assert.equal(stdout, '');
});

test('on a terminal the display is live and cleared at the end', async () => {
  const { stdout, stderr } = await showAll({ isTTY: true, json: false });
  assert.match(stderr, /dumping, about 1m 01s left/);
  assert.match(stderr, /database {2}running {4}25 % {2}1\.00 KiB of 4\.00 KiB {2}2\.00 KiB\/s/);
  // ESC [ ... : the lines drawn before are erased.
  // oxlint-disable-next-line no-control-regex
  assert.match(stderr, /\u001B\[[0-9]*[A-K]/);
  assert.equal(stdout, '');
});

test('with --json nothing is shown', async () => {
  assert.deepEqual(await showAll({ isTTY: true, json: true }), { stdout: '', stderr: '' });
});

test('a query without an answer does not hold the end', { timeout: 10_000 }, async () => {
  const stderr = collector(false);
  const interrupted = new AbortController().signal;
  const terminal = createTerminal({ stdout: stderr, stderr, json: false, verbose: false, interrupted });
  const done = new AbortController();
  const showing = showProgress({ terminal, poll: () => new Promise(() => undefined), signal: done.signal });
  setTimeout(() => done.abort(), 20);
  await showing;
});

test('lines are cut to the width of the terminal', () => {
  const text = renderView({ phase: 'x'.repeat(50), lines: [{ label: 'l', done: 1, state: 'running' }] }, 20);
  assert.ok(text.split('\n').every((line) => line.length <= 20));
});
