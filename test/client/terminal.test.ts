import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { WriteStream } from 'node:tty';
import { createTerminal, EXIT_CODES, exitCodeOf, type OutputStream } from '../../client/terminal.ts';
import { ERROR_TYPES, HoldfastError, type ErrorType } from '../../core/errors.ts';

function collector(isTTY = false): OutputStream & { text: string } {
  const stream = Object.assign(
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        stream.text += chunk.toString();
        done();
      },
    }),
    { text: '', isTTY, getColorDepth: () => WriteStream.prototype.getColorDepth() },
  );
  return stream;
}

function setUp(settings: { json?: boolean; verbose?: boolean; isTTY?: boolean } = {}) {
  const stdout = collector(settings.isTTY);
  const stderr = collector(settings.isTTY);
  const { json = false, verbose = false } = settings;
  const interrupt = new AbortController();
  return { stdout, stderr, terminal: createTerminal({ stdout, stderr, json, verbose, interrupted: interrupt.signal }) };
}

test('every error type has the exit code of the contract', () => {
  const special: Partial<Record<ErrorType, number>> = {
    InvalidInput: 2,
    InvalidConfiguration: 2,
    RefusedForSafety: 4,
    SourceBusy: 4,
    Cancelled: 130,
  };
  for (const type of Object.keys(ERROR_TYPES) as ErrorType[]) {
    assert.equal(exitCodeOf(new HoldfastError(type, 'x')), special[type] ?? 1, type);
  }
  assert.equal(exitCodeOf(new TypeError('x')), 1);
});

test('an error for people says what happened and what to do, without a stack', () => {
  const { terminal, stdout, stderr } = setUp();
  const error = new HoldfastError('BackendRefused', 'backend r2 refused', { advice: 'Check the key.' });
  assert.equal(terminal.fail(error), EXIT_CODES.failed);
  assert.equal(stderr.text, 'holdfast: error: backend r2 refused\nholdfast: hint: Check the key.\n');
  assert.equal(stdout.text, '');
});

test('no control character of a name reaches the terminal, our own colours do', (t) => {
  // Where CI is set Node paints nothing by itself, and there would be no colour to keep.
  const before = process.env.FORCE_COLOR;
  process.env.FORCE_COLOR = '1';
  t.after(() => {
    if (before === undefined) delete process.env.FORCE_COLOR;
    else process.env.FORCE_COLOR = before;
  });
  const { terminal, stderr, stdout } = setUp({ isTTY: true });
  terminal.warn('a part \u001b]0;named\u0007 so\r, \u009b2J');
  assert.ok(stderr.text.endsWith('a part \\x1b]0;named\\x07 so\\x0d, \\x9b2J\n'));
  terminal.answer({}, () => `${terminal.paint('red', 'failed')}\tone\n\ntwo`);
  assert.equal(stdout.text, `${terminal.paint('red', 'failed')}\tone\n\ntwo\n`);
  assert.match(stdout.text, /^\S*\[/);
});

test('an error with --json is one document on standard output', () => {
  const { terminal, stdout, stderr } = setUp({ json: true });
  terminal.fail(new HoldfastError('BackendRefused', 'backend r2 refused', { advice: 'Check the key.' }));
  assert.deepEqual(JSON.parse(stdout.text), {
    error: { type: 'BackendRefused', message: 'backend r2 refused', advice: 'Check the key.' },
  });
  assert.equal(stderr.text, '');
});

test('--verbose adds the stack of the error and of its causes', () => {
  const { terminal, stderr } = setUp({ verbose: true });
  terminal.fail(new HoldfastError('DumpFailed', 'outer', { cause: new Error('inner') }));
  assert.match(stderr.text, /HoldfastError: outer\n\s+at [^]*caused by: Error: inner\n\s+at /);
});

test('a fault of our own is called one', () => {
  const { terminal, stdout } = setUp({ json: true });
  terminal.fail(new TypeError('x is not a function'));
  assert.equal((JSON.parse(stdout.text) as { error: { type: string } }).error.type, 'Unexpected');
});

test('an action gives its result or what it throws as the exit code', async () => {
  const { terminal } = setUp({ json: true });
  await terminal.action(() => EXIT_CODES.degraded)();
  assert.equal(terminal.exitCode, 3);
  await terminal.action(() => undefined)();
  assert.equal(terminal.exitCode, 0);
  await terminal.action(() => Promise.reject(new HoldfastError('RefusedForSafety', 'no')))();
  assert.equal(terminal.exitCode, 4);
});

test('colour only on a terminal, and never with NO_COLOR', (t) => {
  const before = process.env;
  t.after(() => (process.env = before));
  process.env = { TERM: 'xterm-256color' };
  assert.equal(setUp().terminal.paint('red', 'x'), 'x');
  assert.notEqual(setUp({ isTTY: true }).terminal.paint('red', 'x'), 'x');
  process.env['NO_COLOR'] = '1';
  assert.equal(setUp({ isTTY: true }).terminal.paint('red', 'x'), 'x');
});

test('notes stay off standard output, and away with --json', () => {
  const people = setUp();
  people.terminal.note('working');
  assert.equal(people.stderr.text, 'holdfast: working\n');
  assert.equal(people.stdout.text, '');
  const machine = setUp({ json: true });
  machine.terminal.note('working');
  assert.equal(machine.stderr.text + machine.stdout.text, '');
});

test('a table is plain aligned columns', () => {
  const { terminal } = setUp();
  const rows = [
    ['local', '1.2 GiB'],
    ['a-longer-name', ''],
  ];
  assert.equal(
    terminal.table(['NAME', 'SIZE'], rows),
    ['NAME           SIZE', 'local          1.2 GiB', 'a-longer-name'].join('\n'),
  );
});
