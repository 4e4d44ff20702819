import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reconcile } from '../../core/restore/reconcile/reconcile.ts';
import type { Difference } from '../../core/restore/run.ts';
import { accessTo, fixtureSql, runSql } from '../core/postgres/support.ts';
import { MAJORS } from '../support/postgresMajors.ts';
import { kindsSql, newKindsSql } from './kinds.ts';
import { backUpOn, databaseOn, restoreOn, serverOf } from './support.ts';

const FIXTURES: readonly {
  readonly what: string;
  readonly since: number;
  readonly sql: (major: number) => Promise<string>;
}[] = [
  { what: 'an application', since: 14, sql: fixtureSql },
  { what: 'every kind of object', since: 14, sql: (major) => kindsSql('kinds.sql', major) },
  { what: 'rare kinds of objects', since: 14, sql: (major) => kindsSql('rareKinds.sql', major) },
  { what: 'what came after 15', since: 16, sql: newKindsSql },
];

for (const { what, since, sql } of FIXTURES) {
  for (const major of MAJORS.filter((each) => each >= since)) {
    test(`[7] ${what}, of ${major}, comes back on ${major} and on every newer major`, async (context) => {
      const server = await serverOf(major);
      const source = await databaseOn(context, server);
      await runSql(source, await sql(major));
      const backup = await backUpOn(context, server, source);
      for (const newer of MAJORS.filter((each) => each >= major)) {
        const { target, restored } = await restoreOn(context, await serverOf(newer), backup);
        assert.deepEqual(restored.warnings, []);
        const { differences } = await reconcile({ database: accessTo(target), expected: backup.inventory });
        // Another major may print a definition in another way: then that is a remark.
        const told = differences.filter(({ severity }) => newer === major || severity === 'difference');
        assert.deepEqual(told.map(shown), [], `on ${newer}`);
      }
    });
  }
}

function shown({ kind, object, what, expected, found }: Difference): string {
  return `${kind} ${object}, ${what}: ${expected} became ${found}`;
}
