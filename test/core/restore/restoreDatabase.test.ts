import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDatabase } from '../../support/servers.ts';
import { accessTo, comparable, dumpInto, fixtureSql, runSql } from '../postgres/support.ts';
import { backUp, newTarget, restore } from './support.ts';

for (const jobs of [1, 3]) {
  test(`a database dumped and restored with ${jobs} jobs equals the source, object by object`, async (context) => {
    const source = await createDatabase(context);
    const target = await newTarget(context);
    await runSql(source, await fixtureSql());
    const backup = await backUp(context, source, { dump: { jobs } });
    const phases = new Set<string>();
    let last = { bytes: 0, totalBytes: 1 };
    const restored = await restore(backup, target, {
      jobs,
      onProgress: (progress) => {
        phases.add(progress.phase);
        last = progress;
      },
    });
    assert.deepEqual(restored.warnings, []);
    assert.deepEqual(restored.passedOver, []);
    assert.deepEqual([...phases], ['definitions', 'rows', 'indexes', 'statistics', 'settings']);
    assert.equal(last.bytes, last.totalBytes);
    const after = await dumpInto(context, accessTo(target));
    assert.deepEqual(comparable(after.inventory), comparable(backup.inventory));
  });
}
