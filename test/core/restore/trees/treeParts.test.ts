import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ManifestPart } from '../../../../core/repository/manifest.ts';
import { treeNotices } from '../../../../core/restore/trees/treeParts.ts';

test('what a backup could not keep is told as one entry, or as several', () => {
  const none = { count: 0, paths: [] };
  const tree = { files: 1, directories: 1, links: 0, bytes: 1, changed: none, vanished: none, unreadable: none };
  const notices = (skipped: string[], changed: string[]) =>
    treeNotices({
      tree: { ...tree, skipped: listed(skipped), changed: listed(changed) },
    } as unknown as ManifestPart);
  assert.deepEqual(notices(['socket'], ['log']), [
    '1 entry changed while being read when the backup was made: log',
    '1 entry was of a kind that no archive keeps when the backup was made: socket',
  ]);
  assert.deepEqual(notices(['a', 'b'], []), [
    '2 entries were of a kind that no archive keeps when the backup was made: a, b',
  ]);
});

function listed(paths: string[]) {
  return { count: paths.length, paths };
}
