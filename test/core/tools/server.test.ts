import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isHoldfastError } from '../../../core/errors.ts';
import { isRunning, startOf } from '../../../core/process/runningProcess.ts';
import { startServer, stopServer, type ServerOptions } from '../../../core/tools/server.ts';
import { temporaryDirectory } from '../../support/directories.ts';

function shellServer(directory: string, script: string, options: Partial<ServerOptions> = {}): ServerOptions {
  return {
    name: 'The shell',
    command: 'sh',
    args: ['-c', script],
    workingDirectory: directory,
    logFile: join(directory, 'log'),
    stopSignal: 'SIGTERM',
    ready: async () => (await readFile(join(directory, 'log'), 'utf8')).includes('up'),
    readyTimeout: 5_000,
    errorType: 'SourceUnreachable',
    ...options,
  };
}

async function endsWithin(pid: number, milliseconds: number): Promise<boolean> {
  const deadline = Date.now() + milliseconds;
  while (Date.now() < deadline) {
    if (!(await isRunning(pid))) return true;
    await sleep(20);
  }
  return false;
}

test('closing ends the server and what it started', async (t) => {
  const directory = await temporaryDirectory(t);
  const server = await startServer(shellServer(directory, 'sleep 100 & echo $! > child; echo up; wait'));
  const child = Number(await readFile(join(directory, 'child'), 'utf8'));
  await server.close();
  assert.equal(await isRunning(server.pid), false);
  assert.equal(await endsWithin(child, 1_000), true);
  await server.close();
});

test('a server that ends at its start is an error with its last words', async (t) => {
  const directory = await temporaryDirectory(t);
  await assert.rejects(
    startServer(shellServer(directory, 'echo no such disk >&2; exit 1')),
    (error) => isHoldfastError(error, 'SourceUnreachable') && error.message.includes('no such disk'),
  );
});

test('a server that never answers is ended', async (t) => {
  const directory = await temporaryDirectory(t);
  const options = shellServer(directory, 'echo $$ > pid; exec sleep 100', { readyTimeout: 300 });
  await assert.rejects(startServer(options), /did not answer within/);
  assert.equal(await isRunning(Number(await readFile(join(directory, 'pid'), 'utf8'))), false);
});

test('a program that is not there is ToolMissing', async (t) => {
  const directory = await temporaryDirectory(t);
  const options = shellServer(directory, '', { command: join(directory, 'nothing'), keepRunning: true });
  await assert.rejects(startServer(options), (error) => isHoldfastError(error, 'ToolMissing'));
});

for (const ending of ['SIGKILL', 'SIGTERM', 'exit'] as const) {
  test(`no server outlives its parent: ${ending}`, async (t) => {
    const directory = await temporaryDirectory(t);
    const script = join(directory, 'parent.mjs');
    const module = new URL('../../../core/tools/server.ts', import.meta.url).href;
    await writeFile(
      script,
      `import { startServer } from ${JSON.stringify(module)};
       import { readFile } from 'node:fs/promises';
       const log = ${JSON.stringify(join(directory, 'log'))};
       const server = await startServer({
         name: 'x', command: 'sh', args: ['-c', 'echo up; exec sleep 100'], workingDirectory: '/', logFile: log,
         stopSignal: 'SIGTERM', ready: async () => (await readFile(log, 'utf8')).includes('up'), readyTimeout: 5000,
         errorType: 'SourceUnreachable' });
       console.log(server.pid);
       if (${JSON.stringify(ending)} === 'exit') process.exit(0);
       setInterval(() => {}, 1000);`,
    );
    const parent = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    if (ending !== 'exit') parent.kill(ending);
    const pid = Number(line.toString());
    assert.ok(pid > 0);
    assert.equal(await endsWithin(pid, 3_000), true);
  });
}

test('a kept server outlives its handle and is known again by its start time', async (t) => {
  const directory = await temporaryDirectory(t);
  const server = await startServer(shellServer(directory, 'echo up; exec sleep 100', { keepRunning: true }));
  t.after(() => server.close());
  const start = await startOf(server.pid);
  assert.ok(start);
  assert.equal(await startOf(server.pid), start);
  assert.notEqual(await startOf(process.pid), start);
  await stopServer(server.pid, 'SIGTERM');
  assert.equal(await startOf(server.pid), undefined);
});

test('a log is private to its owner', async (t) => {
  const directory = await temporaryDirectory(t);
  const server = await startServer(shellServer(directory, 'echo up; exec sleep 100'));
  t.after(() => server.close());
  const { mode } = await stat(join(directory, 'log'));
  assert.equal(mode & 0o777, 0o600);
});
