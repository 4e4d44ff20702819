import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reconcile } from '../../core/restore/reconcile/reconcile.ts';
import { accessTo, runSql } from '../core/postgres/support.ts';
import { MAJORS } from '../support/postgresMajors.ts';
import { backUpOn, databaseOn, restoreOn, serverOf } from './support.ts';

/** What a database can be created with: libc's locales everywhere, ICU's from 15, its rules from 16, builtin ones from 17 on. */
const FORMS: readonly { readonly what: string; readonly since: number; readonly form: string }[] = [
  { what: 'LATIN1', since: 14, form: `encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'` },
  { what: 'SQL_ASCII', since: 14, form: `encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'` },
  {
    what: "ICU's locale as it was typed",
    since: 15,
    form: `encoding 'UTF8' locale_provider icu icu_locale 'de_DE' lc_collate 'C' lc_ctype 'C'`,
  },
  {
    what: "ICU's rules",
    since: 16,
    form: `encoding 'UTF8' locale_provider icu icu_locale 'und' icu_rules '& a < g' lc_collate 'C' lc_ctype 'C'`,
  },
  {
    what: 'the builtin C.UTF-8',
    since: 17,
    form: `encoding 'UTF8' locale_provider builtin builtin_locale 'C.UTF-8' lc_collate 'C' lc_ctype 'C'`,
  },
  {
    what: 'the builtin PG_UNICODE_FAST',
    since: 18,
    form: `encoding 'UTF8' locale_provider builtin builtin_locale 'PG_UNICODE_FAST' lc_collate 'C' lc_ctype 'C'`,
  },
];

for (const { what, since, form } of FORMS) {
  for (const major of MAJORS.filter((each) => each >= since)) {
    test(`[7] a database of ${major} with ${what} comes back with it on ${major} and on every newer major`, async (context) => {
      const server = await serverOf(major);
      const source = await databaseOn(context, server, { form });
      await runSql(source, `create table words (word text); insert into words values ('b'), ('A'), ('g')`);
      const backup = await backUpOn(context, server, source, { jobs: 1 });
      for (const newer of MAJORS.filter((each) => each >= major)) {
        const { target } = await restoreOn(context, await serverOf(newer), backup);
        const { differences } = await reconcile({ database: accessTo(target), expected: backup.inventory });
        assert.deepEqual(differences, [], `on ${newer}`);
        const order = 'select word from words order by word';
        assert.deepEqual(await runSql(target, order), await runSql(source, order));
      }
    });
  }
}
