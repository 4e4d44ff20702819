import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { buildProgram } from '../../client/main.ts';
import { createTerminal } from '../../client/terminal.ts';
import { HOLDFAST, holdfast, holdfastInto } from '../support/commandLine.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { fillDisk, lastFirst, mountSmallDisk, noMounts } from '../support/smallDisk.ts';

const BIN = fileURLToPath(new URL('../../client/bin.js', import.meta.url));

test('--help answers at once on standard output and exits 0', async () => {
  const started = performance.now();
  const { code, stdout, stderr } = await holdfast(['--help']);
  assert.equal(code, 0);
  assert.match(stdout, /^Usage: holdfast \[options\] \[command\]/);
  assert.match(stdout, /Examples:/);
  assert.equal(stderr, '');
  // A guard against loading the SDKs for a help text, with room for a busy machine; alone it takes 0.1 s.
  assert.ok(performance.now() - started < 5_000);
});

test('every command has a description and an example', () => {
  const texts: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      texts.push(chunk.toString());
      done();
    },
  });
  const interrupted = new AbortController().signal;
  const terminal = createTerminal({ stdout: sink, stderr: sink, json: false, verbose: false, interrupted });
  for (const command of everyCommand(buildProgram(terminal))) {
    texts.length = 0;
    command.outputHelp();
    assert.notEqual(command.description(), '', command.name());
    assert.match(texts.join(''), /\nExamples?:\n {2}holdfast /, command.name());
  }
});

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

for (const [args, message, hint] of [
  [['confg'], "unknown command 'confg'", 'Did you mean config?'],
  [['config', 'chek'], "unknown command 'chek'", 'Did you mean check?'],
  [['--jsno'], "unknown option '--jsno'", 'Did you mean --json?'],
  [['config', 'check', 'surplus'], 'too many arguments', 'Run `holdfast config check --help`'],
  [['--config'], "option '-c, --config <file>' argument missing", 'Run `holdfast --help`'],
] as const) {
  test(`wrong usage exits 2 and says what was meant: ${args.join(' ')}`, async () => {
    const { code, stdout, stderr } = await holdfast(args);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.ok(stderr.startsWith('holdfast: error: '), stderr);
    assert.ok(stderr.includes(message), stderr);
    assert.ok(stderr.includes(hint), stderr);
    assert.doesNotMatch(stderr, /\n\s+at /);
  });
}

test('no command shows the help on standard error and exits 2', async () => {
  const { code, stdout, stderr } = await holdfast([]);
  assert.equal(code, 2);
  assert.equal(stdout, '');
  assert.match(stderr, /Commands:[^]*no command was given/);
});

test('--json answers a wrong usage with one document, wherever it stands', async () => {
  for (const args of [
    ['--json', 'confg'],
    ['confg', '--json'],
    ['config', '--json'],
  ]) {
    // One after the other: all of them together would be a load of their own.
    const { code, stdout } = await holdfast(args);
    assert.equal(code, 2);
    const document = JSON.parse(stdout) as { error: Record<string, string> };
    assert.deepEqual(Object.keys(document), ['error']);
    assert.deepEqual(Object.keys(document.error), ['type', 'message', 'advice']);
    assert.equal(document.error['type'], 'InvalidInput');
  }
});

test('a stack trace is shown with --verbose only', async (t) => {
  const directory = await temporaryDirectory(t);
  const quiet = await holdfast(['config', 'check'], { cwd: directory });
  assert.equal(quiet.code, 2);
  assert.doesNotMatch(quiet.stderr, /\n\s+at /);
  const verbose = await holdfast(['config', 'check', '--verbose'], { cwd: directory });
  assert.equal(verbose.code, 2);
  assert.match(verbose.stderr, /\n\s+at /);
});

test('starts through symbolic links, from anywhere', async (t) => {
  const directory = await temporaryDirectory(t);
  for (const [name, target] of [
    ['holdfast', HOLDFAST],
    ['holdfast-bin', BIN],
  ] as const) {
    await symlink(target, join(directory, name));
    const { code, stdout, stderr } = await holdfast(['--version'], { cwd: directory, program: join(directory, name) });
    assert.equal(stderr, '');
    assert.equal(code, 0);
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  }
});

/** A process that waits for ever behind the real signal handling; `ask` says whether its command takes signals itself. */
async function waitingProcess(ask: boolean) {
  const script = `
    import { createTerminal } from './client/terminal.ts';
    import { listenForSignals } from './client/main.ts';
    const interrupt = new AbortController();
    const { stdout, stderr } = process;
    const terminal = createTerminal({ stdout, stderr, json: true, verbose: false, interrupted: interrupt.signal });
    listenForSignals(interrupt, terminal);
    if (${ask}) terminal.interruption().addEventListener('abort', () => stderr.write('asked to stop'));
    setInterval(() => undefined, 60_000);
    stderr.write('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  const heard = async () => String((await once(child.stderr, 'data'))[0]);
  assert.equal(await heard(), 'ready');
  const ended = async () => ({ code: ((await once(child, 'close')) as [number | null])[0], stdout });
  return { child, heard, ended };
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} ends a command with exit code 130 and one document`, { timeout: 30_000 }, async () => {
    const { child, ended } = await waitingProcess(false);
    child.kill(signal);
    const { code, stdout } = await ended();
    assert.equal(code, 130);
    const { error } = JSON.parse(stdout) as { error: { type: string; message: string } };
    assert.equal(error.type, 'Cancelled');
    assert.ok(error.message.includes(signal));
  });
}

test('a command that takes signals itself gets the first one; the second ends it', { timeout: 30_000 }, async () => {
  const { child, heard, ended } = await waitingProcess(true);
  child.kill('SIGINT');
  assert.equal(await heard(), 'asked to stop');
  child.kill('SIGINT');
  assert.equal((await ended()).code, 130);
});

test('a reader that stops reading is no error', async () => {
  const child = spawn('/bin/sh', ['-c', '"$1" config schema | head -n 1; exit 0', 'sh', HOLDFAST], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdout.resume();
  await once(child, 'close');
  assert.equal(stderr, '');
});

const NO_ROOM =
  /^holdfast: error: [^\n]*standard output[^\n]*no room is left[^\n]*ENOSPC[^\n]*\nholdfast: hint: [^\n]+\n$/i;

test('an answer that cannot be written is a failure, told once; a worse exit code stays', async () => {
  for (const [expected, ...args] of [
    [1, 'config', 'schema'],
    [1, '--help'],
    [2, '--json', 'confg'],
  ] as const) {
    const { code, stderr } = await holdfastInto('/dev/full', args);
    assert.match(stderr, NO_ROOM, args.join(' '));
    assert.equal(code, expected, args.join(' '));
  }
});

test('an answer of which only the beginning finds room is a failure', { skip: noMounts }, async (t) => {
  const scope = lastFirst(t);
  const directory = await temporaryDirectory(scope);
  mountSmallDisk(scope, directory, 1);
  await fillDisk(directory);
  await truncate(join(directory, '.filler'), 2 ** 20 - 8192);
  const { code, stderr } = await holdfastInto(join(directory, 'schema.json'), ['config', 'schema']);
  assert.match(stderr, NO_ROOM);
  assert.equal(code, 1);
});

test('the configuration is the one asked for, else HOLDFAST_CONFIG, else ./holdfast.yaml', async (t) => {
  const directory = await temporaryDirectory(t);
  await Promise.all(['asked', 'named', 'holdfast'].map((name) => writeFile(join(directory, `${name}.yaml`), '[]')));
  const pathOf = async (args: string[], environment: Record<string, string>) => {
    const { stdout } = await holdfast([...args, '--json', 'config', 'check'], { cwd: directory, environment });
    return (JSON.parse(stdout) as { path: string }).path;
  };
  assert.equal(await pathOf([], {}), join(directory, 'holdfast.yaml'));
  assert.equal(await pathOf([], { HOLDFAST_CONFIG: 'named.yaml' }), join(directory, 'named.yaml'));
  assert.equal(await pathOf(['-c', 'asked.yaml'], { HOLDFAST_CONFIG: 'named.yaml' }), join(directory, 'asked.yaml'));
});
