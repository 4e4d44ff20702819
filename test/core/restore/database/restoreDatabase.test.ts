import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeCompared } from '../../../../core/restore/reconcile/describeCompared.ts';
import { reconcile } from '../../../../core/restore/reconcile/reconcile.ts';
import { openBackend } from '../../../../core/storage/openBackend.ts';
import { s3Settings } from '../../../support/s3Settings.ts';
import { createBucket, createDatabase } from '../../../support/servers.ts';
import { accessTo, comparable, createRole, dumpInto, fixtureSql, runSql } from '../../postgres/support.ts';
import { backUp, newTarget, restore } from '../support.ts';

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

test('a backup that a reading role took is restored from an S3 service, large objects of storage in ranges', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await runSql(
    source,
    `create table noise (a text, b text); create table more (v text);
     insert into noise select string_agg(md5(random()::text), ''), i from generate_series(1, 4000) i, generate_series(1, 100) group by i;
     insert into more select a from noise limit 2000`,
  );
  const reader = await createRole(source, 'bypassrls in role pg_read_all_data');
  const backend = openBackend('s3', s3Settings(await createBucket(context)));
  context.after(() => backend.close());
  const backup = await backUp(context, source, { access: reader, backends: [backend], dump: { jobs: 2 } });
  assert.ok(backup.manifest.parts.some(({ objects }) => objects.some(({ bytes }) => bytes > 2 ** 22)));
  const restored = await restore(backup, target);
  assert.equal(restored.backend, 's3');
  const result = await reconcile({ database: accessTo(target), expected: backup.inventory });
  assert.deepEqual(result.differences, []);
  assert.equal(result.compared.rows, '6000');
});

test('a backup that has no numbers of rows is not said to have none', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await runSql(source, 'create table t as select generate_series(1, 777) as i');
  const backup = await backUp(context, source, { dump: { inventory: 'off' } });
  await restore(backup, target);
  const { equal, compared } = await reconcile({ database: accessTo(target), expected: backup.inventory });
  assert.equal(equal, true);
  assert.match(describeCompared(compared), /^1 tables, whose rows the backup did not count, 0 sequences/);
});
