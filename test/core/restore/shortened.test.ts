import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Difference, Reconciliation } from '../../../core/restore/run.ts';
import { shortened } from '../../../core/restore/shortened.ts';

test('a reconciliation of a thousand long lines stays under 100 KB, and says how much is left out', () => {
  const difference: Difference = {
    severity: 'difference',
    kind: 'function',
    object: 'o'.repeat(5_000),
    what: 'definition',
    expected: 'e'.repeat(5_000),
    found: 'f'.repeat(5_000),
  };
  const lines = Array.from({ length: 1_000 }, () => 'l'.repeat(5_000));
  const long: Reconciliation = {
    equal: false,
    differences: Array.from({ length: 200 }, () => difference),
    differenceCount: 12_345,
    compared: { tables: 1, rows: '1', sequences: 1, objects: 1, largeObjects: '1' },
    notCarried: lines,
    notices: lines,
    duration: 1,
  };
  const short = shortened(long);
  assert.ok(JSON.stringify(short).length < 90_000, `${JSON.stringify(short).length}`);
  assert.ok(short.differences.length > 10);
  assert.equal(short.differenceCount, 12_345);
  assert.equal(short.notCarried.at(-1), '960 more.');
  const small = {
    ...long,
    differences: [{ ...difference, object: 'o', expected: 'e', found: 'f' }],
    notCarried: ['a'],
    notices: [],
  };
  assert.deepEqual(shortened(small), small);
});
