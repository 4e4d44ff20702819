import assert from 'node:assert/strict';
import { test } from 'node:test';
import { draw } from '../../../core/drill/draw.ts';

const NAMES = ['far', 'local', 'near', 'r2', 'b2'];

test('the same seed draws the same, in whatever order the names come, and nothing of nothing', () => {
  for (let seed = 0; seed < 100; seed += 1) {
    assert.equal(draw(NAMES, seed), draw(NAMES.toReversed(), seed));
    assert.equal(draw(['only'], seed), 'only');
  }
  assert.equal(draw([], 7), undefined);
});

test('every name is as likely as any other', () => {
  const counts = new Map<string | undefined, number>();
  const draws = 5_000;
  for (let seed = 0; seed < draws; seed += 1) {
    const name = draw(NAMES, seed);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  // Of five names each has a thousand, give or take six standard deviations.
  for (const name of NAMES)
    assert.ok(Math.abs((counts.get(name) ?? 0) - draws / 5) < 170, `${name}: ${counts.get(name)}`);
});
