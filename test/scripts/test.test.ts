import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryDirectory } from '../support/directories.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/test.ts', import.meta.url));

/** Runs the test script on files of this content, with the servers that run already. */
function runTests(args: readonly string[]): { code: number | null; lastLine: string } {
  // Set by node:test in its children; a run inside a run would execute nothing.
  const { NODE_TEST_CONTEXT: _inside, ...env } = process.env;
  const { status, stdout } = spawnSync(process.execPath, [SCRIPT, ...args], { encoding: 'utf8', env });
  return { code: status, lastLine: stdout.trim().split('\n').at(-1) ?? '' };
}

for (const [what, content, code, lastLine] of [
  ['all good', `test('a', () => {}); test('b', () => {});`, 0, '2 passed, 0 failed'],
  ['one failing', `test('a', () => {}); test('b', () => { throw new Error('no'); });`, 1, '1 passed, 1 failed'],
  ['a file that cannot be loaded', `import './nothing.ts';`, 1, '0 passed, 1 failed'],
  [
    'a suite whose hook fails',
    `import { after, suite } from 'node:test'; suite('s', () => { after(() => { throw new Error('no'); }); test('a', () => {}); });`,
    1,
    '1 passed, 1 failed',
  ],
  [
    'a suite with a failing test',
    `import { suite } from 'node:test'; suite('s', () => { test('a', () => { throw new Error('no'); }); });`,
    1,
    '0 passed, 1 failed',
  ],
  ['no test at all', '', 1, '0 passed, 0 failed'],
  ['one skipped', `test('a', () => {}); test.skip('b', () => {});`, 0, '1 passed, 0 failed, 1 skipped'],
] as const) {
  test(`${what}: the last line counts and the exit code agrees`, async (t) => {
    const file = join(await temporaryDirectory(t), 'some.test.mjs');
    await writeFile(file, `import { test } from 'node:test';\n${content}\n`);
    assert.deepEqual(runTests([file]), { code, lastLine });
  });
}

test('a name chooses tests', async (t) => {
  const file = join(await temporaryDirectory(t), 'some.test.mjs');
  await writeFile(
    file,
    `import { test } from 'node:test';\ntest('one', () => {});\ntest('two', () => { throw 1; });\n`,
  );
  assert.deepEqual(runTests(['--name', 'one', file]), { code: 0, lastLine: '1 passed, 0 failed' });
});
