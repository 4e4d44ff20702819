import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reconcile } from '../../core/restore/reconcile.ts';
import { accessTo, fixtureSql, runSql } from '../core/postgres/support.ts';
import { MAJORS } from '../support/postgresMajors.ts';
import { kindsSql, newKindsSql } from './kinds.ts';
import { backUpOn, databaseOn, restoreOn, serverOf } from './support.ts';

for (const file of ['kinds.sql', 'rareKinds.sql', 'fixture.sql', 'newKinds.sql'] as const) {
  for (const major of MAJORS.filter((each) => file !== 'newKinds.sql' || each >= 16)) {
    test(`${file} of ${major} comes back on ${major} and on every newer major`, async (context) => {
      const server = await serverOf(major);
      const source = await databaseOn(context, server);
      await runSql(source, await sqlOf(file, major));
      const backup = await backUpOn(context, server, source);
      const failures: string[] = [];
      for (const newer of MAJORS.filter((each) => each >= major)) {
        try {
          const { target, restored } = await restoreOn(context, await serverOf(newer), backup);
          assert.deepEqual(restored.warnings, []);
          const { differences } = await reconcile({ database: accessTo(target), expected: backup.inventory });
          const told = differences.filter(({ severity }) => newer === major || severity !== 'remark');
          assert.equal(
            told
              .map(({ kind, object, what, expected, found }) => `${kind} ${object}: ${what} ${expected} -> ${found}`)
              .join('\n'),
            '',
          );
          if (process.env['SHOW'])
            console.error(
              major,
              newer,
              differences
                .filter(({ severity }) => severity === 'remark')
                .map(({ object, what, kind }) => `${kind} ${object} ${what}`)
                .join('; '),
            );
        } catch (error) {
          failures.push(`${newer}: ${error instanceof assert.AssertionError ? String(error.actual) : String(error)}`);
        }
      }
      assert.equal(failures.join('\n\n'), '');
    });
  }
}

function sqlOf(file: string, major: number): Promise<string> {
  if (file === 'fixture.sql') return fixtureSql();
  return file === 'newKinds.sql' ? newKindsSql(major) : kindsSql(file as 'kinds.sql', major);
}
