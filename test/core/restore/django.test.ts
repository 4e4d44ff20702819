import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { DatabaseAccess } from '../../../core/postgres/access.ts';
import { reconcile } from '../../../core/restore/reconcile/reconcile.ts';
import { bringDjango } from '../../support/python.ts';
import { createDatabase } from '../../support/servers.ts';
import { accessTo, createRole, runSql } from '../postgres/support.ts';
import { backUp, newTarget, onServer, restore } from './support.ts';

const PROJECT = fileURLToPath(new URL('../../fixtures/django', import.meta.url));

test('a Django project in a restored database finds its migrations applied and inserts rows at once', async (context) => {
  const python = await bringDjango().catch((error: Error) => context.skip(error.message));
  if (python === undefined) return;
  const source = await createDatabase(context);
  const target = await newTarget(context);
  // As in production the application owns its database and is no superuser.
  const owner = await createRole(source);
  await onServer(`alter database ${source.name} owner to ${owner.user}`);
  const before = (...args: string[]) => manage(python, owner, ...args);
  await before('migrate', '--verbosity=0');
  assert.equal(await before('trade', 'ann', '--orders=300'), '300 orders, 300 lines');

  const backup = await backUp(context, source, { dump: { jobs: 2 } });
  await restore(backup, target);
  const { equal, differences } = await reconcile({ database: accessTo(target), expected: backup.inventory });
  assert.equal(equal, true, JSON.stringify(differences));

  const restored = (...args: string[]) => manage(python, { ...owner, name: target.name }, ...args);
  await restored('migrate', '--check');
  await restored('makemigrations', '--check', '--dry-run');
  await restored('check', '--database=default');
  assert.equal(await restored('trade', 'bob', '--orders=2'), '302 orders, 302 lines');
  assert.deepEqual(await runSql(target, `select max(id)::int as last from shop_order`), [{ last: 302 }]);
  // The next migration would have to alter tables: they belong to whom they belonged to.
  await restored('migrate', 'shop', '0002', '--verbosity=0');
  await assert.rejects(restored('migrate', '--check'));
});

/** Runs a command of the project against a database and gives what it printed. */
async function manage(python: string, database: DatabaseAccess, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(python, ['-B', 'manage.py', ...args], {
    cwd: PROJECT,
    env: {
      PATH: process.env.PATH,
      PGHOST: database.host,
      PGPORT: String(database.port),
      PGDATABASE: database.name,
      PGUSER: database.user,
      PGPASSWORD: database.password,
    },
  });
  return stdout.trim();
}
