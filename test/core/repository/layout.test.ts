import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { backupId, isBackupId, parseBackupId } from '../../../core/repository/backupId.ts';
import {
  backupPrefix,
  manifestKey,
  objectKey,
  objectName,
  parseBackupPrefix,
} from '../../../core/repository/layout.ts';
import { seededRandom } from '../seal/sealing.ts';

const LOCATION = { source: 'shop', tier: 'daily', backup: '20261120T020000Z-7f3k9q' } as const;

describe('backup ids', () => {
  it('carry the UTC second and six random characters', () => {
    assert.equal(
      backupId(new Date('2026-11-20T02:00:00.999Z'), () => 0),
      '20261120T020000Z-000000',
    );
    assert.equal(
      backupId(new Date('2026-11-20T02:00:00Z'), () => 0.999999),
      '20261120T020000Z-zzzzzz',
    );
  });

  it('parse back to their time, and sort by it', () => {
    const random = seededRandom(7);
    const times = Array.from({ length: 200 }, () => new Date(Math.floor(random() * 4e9) * 1000));
    const ids = times.map((time) => backupId(time, random));
    for (const [index, id] of ids.entries()) assert.deepEqual(parseBackupId(id).time, times[index]);
    const byTime = times.toSorted((a, b) => a.getTime() - b.getTime());
    assert.deepEqual(
      ids.toSorted().map((id) => parseBackupId(id).time),
      byTime,
    );
  });

  it('are told from everything else', () => {
    for (const text of [
      '',
      '20261120T020000Z',
      '20261120T020000Z-7F3K9Q',
      '20261120T020000Z-7f3k9q/',
      '../20261120T020000Z-7f3k9q',
      '20260230T020000Z-7f3k9q',
      '20261120T250000Z-7f3k9q',
    ]) {
      assert.equal(isBackupId(text), false, text);
      assert.throws(() => parseBackupId(text), /is no backup id/);
    }
  });
});

describe('the layout', () => {
  it('gives every object its key', () => {
    assert.equal(backupPrefix(LOCATION), 'shop/daily/20261120T020000Z-7f3k9q/');
    assert.equal(manifestKey(LOCATION), 'shop/daily/20261120T020000Z-7f3k9q/manifest.json');
    assert.equal(
      objectKey(LOCATION, objectName('database', 'dump', 'zstd')),
      'shop/daily/20261120T020000Z-7f3k9q/database.dump.zst.enc',
    );
    assert.equal(objectName('media', 'tar', 'gzip'), 'media.tar.gz.enc');
    assert.equal(objectName('database', 'dump', 'zstd', 1), 'database.dump.zst.enc.001');
    assert.equal(objectName('database', 'dump', 'zstd', 999), 'database.dump.zst.enc.999');
  });

  it('reads prefixes back, and nothing else', () => {
    assert.deepEqual(parseBackupPrefix(backupPrefix(LOCATION)), LOCATION);
    for (const prefix of [
      '',
      'shop/daily/',
      'shop/hourly/20261120T020000Z-7f3k9q/',
      'shop/daily/20261120T020000Z-7f3k9q',
      'shop/daily/20261120T020000Z-7f3k9q/x/',
      '/daily/20261120T020000Z-7f3k9q/',
    ]) {
      assert.equal(parseBackupPrefix(prefix), undefined, prefix);
    }
  });
});
