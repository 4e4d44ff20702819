import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { READING_WORKFLOWS, WRITING_WORKFLOWS } from '../../../core/sweep/writers.ts';

test('[21] every workflow is known as one that writes to storages or one that does not', async () => {
  const index = await readFile(new URL('../../../workflows/index.ts', import.meta.url), 'utf8');
  const exported = [...index.matchAll(/export \{ ([\w, ]+) \}/g)].flatMap(([, names = '']) => names.split(', '));
  assert.ok(exported.includes('backup') && exported.includes('sweep'));
  const known = [...WRITING_WORKFLOWS, ...READING_WORKFLOWS];
  assert.deepEqual(
    exported.filter((name) => !known.includes(name)),
    [],
    'name it in core/sweep/writers.ts; one that writes calls announceWrites before its first step',
  );
  for (const name of WRITING_WORKFLOWS.filter((each) => exported.includes(each))) {
    const code = await readFile(new URL(`../../../workflows/${name}.ts`, import.meta.url), 'utf8');
    assert.match(code, /\bannounceWrites\(/, `${name} writes and does not say what`);
  }
});
