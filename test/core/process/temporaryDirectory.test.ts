import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readdir, rm, stat } from 'node:fs/promises';
import { test } from 'node:test';
import { createTemporaryDirectory } from '../../../core/process/temporaryDirectory.ts';
import { temporaryDirectory } from '../../support/directories.ts';

const MODULE = new URL('../../../core/process/temporaryDirectory.ts', import.meta.url).href;

test('[13] [38] what a killed process kept secrets in is removed by the next, a living one is left alone', async (t) => {
  const root = await temporaryDirectory(t);
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = root;
  t.after(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
  const script = `console.log(await (await import('${MODULE}')).createTemporaryDirectory()); setInterval(() => {}, 1e9)`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const theirs = line.toString().trim();
  assert.equal((await stat(theirs)).mode & 0o777, 0o700);

  const mine = await createTemporaryDirectory();
  await access(theirs);
  child.kill('SIGKILL');
  await once(child, 'exit');
  const another = await createTemporaryDirectory();
  assert.deepEqual((await readdir(root)).map((name) => `${root}/${name}`).toSorted(), [mine, another].toSorted());
  await Promise.all([mine, another].map((directory) => rm(directory, { recursive: true })));
});
