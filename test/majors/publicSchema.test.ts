import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reconcile } from '../../core/restore/reconcile/reconcile.ts';
import { accessTo, runSql } from '../core/postgres/support.ts';
import { backUpOn, databaseOn, restoreOn, serverOf } from './support.ts';

/** What may stand in a server of 14, where the schema public is the superuser's and everybody may create in it. */
const STATES: Readonly<Record<string, string>> = {
  'as it was made': '',
  'in which only its owner may create': 'revoke create on schema public from public;',
  'that is closed': 'revoke all on schema public from public;',
  'of another owner': 'alter schema public owner to pg_monitor; grant create on schema public to pg_read_all_stats;',
};

for (const [state, sql] of Object.entries(STATES)) {
  test(`[7] the schema public ${state} comes back from 14, whichever pg_dump wrote it`, async (context) => {
    const source = await databaseOn(context, await serverOf(14));
    await runSql(source, `${sql} create table public.t (v int)`);
    for (const dumper of [14, 15, 18]) {
      const { clients } = await serverOf(dumper);
      const backup = await backUpOn(context, await serverOf(14), source, { clients, jobs: 1 });
      for (const into of [14, 15, 18]) {
        const { target } = await restoreOn(context, await serverOf(into), backup, { clients });
        const { differences } = await reconcile({ database: accessTo(target), expected: backup.inventory });
        assert.deepEqual(
          differences.filter(({ what }) => what !== 'comment' && what !== 'version'),
          [],
          `by ${dumper} into ${into}`,
        );
      }
    }
  });
}
