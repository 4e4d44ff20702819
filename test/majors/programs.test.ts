import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseClientPrograms, findClientPrograms } from '../../core/postgres/clients.ts';
import { inspectDatabase } from '../../core/postgres/preflight.ts';
import { preflightTarget } from '../../core/restore/plan/preflightTarget.ts';
import { reconcile } from '../../core/restore/reconcile/reconcile.ts';
import { accessTo, assertRejects, fixtureSql, openDump, runSql } from '../core/postgres/support.ts';
import { MAJORS } from '../support/postgresMajors.ts';
import { backUpOn, databaseOn, databasesOn, maintenanceOf, restoreOn, serverOf } from './support.ts';

/** Programs of one major version at servers of another. */

for (const major of MAJORS.filter((each) => each > 14)) {
  test(`[1] every client older than a server of ${major} is refused by name`, async (context) => {
    const server = await serverOf(major);
    const database = accessTo(await databaseOn(context, server));
    const older = await Promise.all(MAJORS.filter((each) => each < major).map(serverOf));
    const installed = older.map(({ clients }) => clients).toSorted((a, b) => b.major - a.major);
    const facts = { version: server.clients.version, major };
    const newest = installed[0]?.version ?? '';
    assert.throws(
      () => chooseClientPrograms(installed, facts),
      new RegExp(`pg_dump ${newest} .* is older than the server`),
    );
    // And past the choice: nothing is dumped, and the program says why.
    for (const clients of installed)
      await assertRejects(openDump(context, database, { clients }), 'DumpFailed', /server version mismatch/);
    const [here] = await findClientPrograms();
    const { findings, clients } = await inspectDatabase(database);
    const named = findings.filter(({ type, severity }) => type === 'ToolMissing' && severity === 'failure');
    assert.equal(named.length, here && here.major >= major ? 0 : 1);
    assert.equal(clients === undefined, named.length === 1);
  });

  test(`[26] a backup of ${major} is refused on every older server, and nothing is made there`, async (context) => {
    const server = await serverOf(major);
    const source = await databaseOn(context, server);
    await runSql(source, 'create table t (v int)');
    const backup = await backUpOn(context, server, source);
    for (const older of await Promise.all(MAJORS.filter((each) => each < major).map(serverOf))) {
      const before = await databasesOn(older);
      const { findings } = await preflightTarget({
        manifest: backup.manifest,
        description: backup,
        server: maintenanceOf(older),
        target: 'nowhere',
      });
      const failures = findings.filter(({ severity }) => severity === 'failure');
      assert.match(failures.map(({ message }) => message).join(), new RegExp(`older than ${major}\\.`));
      assert.deepEqual(await databasesOn(older), before);
    }
  });
}

for (const major of [14, 15, 16]) {
  for (const newer of [17, 18]) {
    test(`what programs of ${newer} dumped of a server of ${major} they restore there, and name what cannot be`, async (context) => {
      const server = await serverOf(major);
      const { clients } = await serverOf(newer);
      const source = await databaseOn(context, server);
      await runSql(source, await fixtureSql());
      const backup = await backUpOn(context, server, source, { clients });
      const { target, restored } = await restoreOn(context, server, backup, { clients });
      assert.deepEqual(restored.warnings, []);
      const { differences } = await reconcile({ database: accessTo(target), expected: backup.inventory });
      assert.deepEqual(differences, []);

      await runSql(
        source,
        `create function inner_part(text) returns text language sql immutable as 'select lower($1)';
         create function outer_part(text) returns text language sql immutable as 'select inner_part($1)';
         create table people (name text); insert into people values ('Ann'); create index people_lower on people (outer_part(name))`,
      );
      const broken = await backUpOn(context, server, source, { clients });
      const before = await databasesOn(server);
      await assertRejects(
        restoreOn(context, server, broken, { clients }),
        'RestoreFailed',
        /index public\.people_lower cannot be restored: function inner_part\(text\) does not exist/,
      );
      assert.deepEqual(await databasesOn(server), before);
    });
  }
}
