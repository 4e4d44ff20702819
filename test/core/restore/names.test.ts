import assert from 'node:assert/strict';
import { test } from 'node:test';
import { databaseNameWith, restoreId, restoreMark } from '../../../core/restore/names.ts';

test('names of databases keep to 63 bytes, whole characters, and the id at their end', () => {
  const id = restoreId(new Date('2026-11-20T02:00:00.500Z'), () => 0);
  assert.equal(id, '20261120_020000_000000');
  assert.equal(databaseNameWith('shop', 'before', id), `shop_before_${id}`);
  for (const name of ['s'.repeat(63), 'ä'.repeat(31), '𝄞'.repeat(15)]) {
    for (const word of ['restored', 'restoring', 'before'] as const) {
      const made = databaseNameWith(name, word, id);
      const bytes = Buffer.byteLength(made);
      assert.ok(bytes <= 63 && bytes > 59, `${made}: ${bytes} bytes`);
      assert.ok(made.endsWith(`_${word}_${id}`), made);
      assert.ok(name.startsWith(made.slice(0, -`_${word}_${id}`.length)), made);
    }
  }
});

test('a mark holds nothing but what a mark may hold', () => {
  assert.match(restoreMark('prod: queue (1)/a', 'shop', '20261120_020000_000000'), /^[\w.:/-]+$/);
});
