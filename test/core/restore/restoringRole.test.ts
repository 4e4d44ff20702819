import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reconcile } from '../../../core/restore/reconcile.ts';
import { createDatabase } from '../../support/servers.ts';
import { accessTo, createRole, runSql } from '../postgres/support.ts';
import { backUp, newTarget, restore } from './support.ts';

/** Restores by roles that are no superusers. */

test('[7] foreign keys come back before the row-level security that their owner is subject to', async (context) => {
  const source = await createDatabase(context);
  const role = await createRole(source, 'createdb');
  await runSql(
    source,
    `alter database ${source.name} owner to ${role.user}; alter schema public owner to ${role.user}; set role ${role.user};
     create table orders (id int primary key); create table items (o int references orders); insert into orders values (1); insert into items values (1);
     create materialized view every as select * from orders; create policy mine on items using (o > 1);
     alter table items enable row level security; alter table items force row level security`,
  );
  const backup = await backUp(context, source);
  for (const jobs of [1, 2]) {
    const target = await newTarget(context);
    await restore(backup, target, { jobs, server: { ...role, name: 'postgres' } });
    const { differences } = await reconcile({ database: accessTo(target), expected: backup.inventory });
    assert.deepEqual(differences, []);
    assert.deepEqual(await runSql(target, 'select * from every'), [{ id: 1 }]);
  }
});
