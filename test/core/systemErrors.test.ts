import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { describeError } from '../../client/terminal.ts';
import { HoldfastError, isHoldfastError } from '../../core/errors.ts';
import { explained, explaining } from '../../core/systemErrors.ts';
import { temporaryDirectory } from '../support/directories.ts';

async function thrownBy(work: () => Promise<unknown>): Promise<unknown> {
  return work().then(
    () => assert.fail('nothing was refused'),
    (error: unknown) => error,
  );
}

test('what the system refuses is told with its path, the reason and what to do, and is no fault of the program', async () => {
  const long = `/tmp/${'x'.repeat(300)}`;
  const tooLong = describeError(await thrownBy(() => mkdir(long)));
  assert.deepEqual(
    [tooLong.type, tooLong.message],
    ['HostFailed', `${long}: the path is too long for this system (ENAMETOOLONG at mkdir)`],
  );
  assert.match(tooLong.advice ?? '', /255 bytes.*shorter/);
  const full = await thrownBy(() => explaining({ where: '/dev/full' }, () => writeFile('/dev/full', 'x')));
  assert.ok(isHoldfastError(full, 'HostFailed'));
  assert.equal(full.message, '/dev/full: no room is left on its file system (ENOSPC at write)');
  assert.match(full.advice ?? '', /df -i/);
  assert.equal(full.retryable, true);
  const unnamed = describeError(await thrownBy(() => writeFile('/dev/full', 'x')));
  assert.match(unnamed.message, /^A file that the system does not name: no room/);
});

function isTriedAgain(code: string): boolean {
  const told = explained(Object.assign(new Error(code), { code, syscall: 'open', path: '/srv/a', errno: -1 }));
  assert.ok(isHoldfastError(told), code);
  assert.match(told.message, /^\/srv\/a: .*\b[A-Z]+ at open\)$/);
  assert.ok(told.advice, code);
  return told.retryable;
}

test('a refusal that stays is not tried again; one that may pass is', () => {
  for (const code of ['EACCES', 'EPERM', 'EROFS', 'ENAMETOOLONG', 'ELOOP', 'EXDEV'])
    assert.equal(isTriedAgain(code), false, code);
  for (const code of ['ENOSPC', 'EDQUOT', 'EIO', 'ESTALE', 'EMFILE', 'ENFILE', 'EBUSY'])
    assert.equal(isTriedAgain(code), true, code);
});

test('errors of its own, of the network and of the program itself stay what they are', async () => {
  const own = new HoldfastError('SpoolFailed', 'x');
  assert.equal(explained(own), own);
  const refused = await thrownBy(() => once(connect(1, '127.0.0.1'), 'connect'));
  assert.equal(explained(refused), refused);
  const fault = new TypeError('x');
  assert.equal(explained(fault), fault);
  assert.equal(describeError(fault).type, 'Unexpected');
});

test('a process that may open no more files says so', async (context) => {
  const directory = await temporaryDirectory(context);
  const script = `import { describeError } from '${new URL('../../client/terminal.ts', import.meta.url).href}';
    import { open } from 'node:fs/promises';
    try { for (;;) globalThis[Math.random()] = await open('${directory}/f', 'w'); }
    catch (error) { process.stdout.write(JSON.stringify(describeError(error))); }
    process.exit();`;
  await writeFile(join(directory, 'script.mjs'), script);
  const run = `ulimit -n 60; exec ${process.execPath} ${directory}/script.mjs`;
  const said = execFileSync('/bin/bash', ['-c', run], { encoding: 'utf8' });
  assert.match(said, /HostFailed.*\/f: too many files are open \(EMFILE at open\)/);
});
