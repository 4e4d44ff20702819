import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drillDatabase } from '../../core/drill/drillDatabase.ts';
import { dropScratchDatabase, scratchDatabase } from '../../core/drill/scratch.ts';
import { accessTo, runSql } from '../core/postgres/support.ts';
import { MAJORS } from '../support/postgresMajors.ts';
import { kindsSql, newKindsSql } from './kinds.ts';
import { backUpOn, databaseOn, databasesOn, maintenanceOf, serverOf } from './support.ts';

for (const major of MAJORS) {
  test(`[7] a drill of a backup of ${major} finds nothing amiss, and asks the checks`, async (context) => {
    const server = await serverOf(major);
    const source = await databaseOn(context, server);
    await runSql(source, await kindsSql('kinds.sql', major));
    const backup = await backUpOn(context, server, source);
    const scratch = scratchDatabase(
      { source: 'shop', taskQueue: 'test', database: accessTo(source) },
      maintenanceOf(server),
    );
    context.after(() => dropScratchDatabase(scratch));
    const [copy] = backup.copies;
    assert.ok(copy);
    const before = await databasesOn(server);
    const drill = { copy, manifest: backup.manifest, openingKeys: [backup.keys.aes], scratch, clients: server.clients };
    const part = await drillDatabase({
      ...drill,
      jobs: 2,
      checks: [
        { name: 'has nodes', sql: 'select count(*) = 3 from app.nodes' },
        { name: 'has more', sql: 'select count(*) > 3 from app.nodes' },
      ],
    });
    assert.deepEqual(part.differences, []);
    assert.deepEqual(
      part.checks.map(({ name, passed }) => [name, passed]),
      [
        ['has nodes', true],
        ['has more', false],
      ],
    );
    assert.deepEqual(await databasesOn(server), before);
  });

  if (major >= 16)
    test(`[7] a drill of a backup of ${major} knows what that major brought`, async (context) => {
      const server = await serverOf(major);
      const source = await databaseOn(context, server);
      await runSql(source, await newKindsSql(major));
      const backup = await backUpOn(context, server, source, { jobs: 1 });
      const scratch = scratchDatabase(
        { source: 'shop', taskQueue: 'test', database: accessTo(source) },
        maintenanceOf(server),
      );
      context.after(() => dropScratchDatabase(scratch));
      const [copy] = backup.copies;
      assert.ok(copy);
      const { differences } = await drillDatabase({
        copy,
        manifest: backup.manifest,
        openingKeys: [backup.keys.aes],
        scratch,
        clients: server.clients,
        jobs: 2,
        checks: [],
      });
      assert.deepEqual(differences, []);
    });
}
