import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { DatabaseAccess } from '../../../../core/postgres/access.ts';
import { createRoles } from '../../../../core/restore/database/createRoles.ts';
import { databaseProperties } from '../../../../core/restore/database/databaseProperties.ts';
import type { RestoreScope } from '../../../../core/restore/run.ts';
import type { Finding } from '../../../../core/postgres/finding.ts';
import { reconcile } from '../../../../core/restore/reconcile/reconcile.ts';
import { createDatabase } from '../../../support/servers.ts';
import { createRole, openSession, runSql } from '../../postgres/support.ts';
import { backUp, findingsOf, newTarget, onServer, restore, serverMajor, type StoredDatabase } from '../support.ts';

/** Restores by a role that is no superuser and a member of the role that owns everything. */

/** A database that belongs to the role `owner`, which another one that may create databases is a member of. */
async function ownedByGroup(context: TestContext, sql: (owner: string, restorer: string) => string) {
  const source = await createDatabase(context);
  const owner = `own_${source.name}`;
  const login = await createRole(source, 'createdb');
  await runSql(
    source,
    `create role ${owner}; grant ${owner} to ${login.user};
     alter database ${source.name} owner to ${owner}; alter schema public owner to ${owner}`,
  );
  await runSql(source, sql(owner, login.user));
  return { source, owner, restorer: { ...login, name: 'postgres' } };
}

/** What the restored database differs in, as the role sees it that restored. */
async function restoredBy(
  context: TestContext,
  backup: StoredDatabase,
  restorer: DatabaseAccess,
  scope: RestoreScope = {},
) {
  const target = await newTarget(context);
  await restore(backup, target, { server: restorer, ...scope });
  return reconcile({ database: { ...restorer, name: target.name }, expected: backup.inventory, ...scope });
}

test('[7] a range type with the functions that PostgreSQL makes for it comes back to its owner', async (context) => {
  const { source, restorer } = await ownedByGroup(
    context,
    (name) =>
      `set role ${name}; create schema "my app"; create type "my app"."Range" as range (subtype = float8, multirange_type_name = "my app".many);
       create type short as range (subtype = int2); create table t (v "my app"."Range"); insert into t values ('[1,2)')`,
  );
  const backup = await backUp(context, source);
  assert.deepEqual(await findingsOf(backup, { server: restorer }), []);
  assert.deepEqual((await restoredBy(context, backup, restorer)).differences, []);
  // A function of a superuser's own is not one of these, though it has a type's name.
  await runSql(
    source,
    `create function public.short(int) returns int language sql as 'select $1'; create function public.short(text, text) returns int language sql as 'select 1'`,
  );
  const [finding, ...others] = await findingsOf(await backUp(context, source), { server: restorer });
  assert.deepEqual(others, []);
  assert.match(
    finding?.message ?? '',
    /cannot give what it restores to "postgres" \(function public\.short\(integer\)\)$/,
  );
  assert.match(finding?.advice ?? '', new RegExp(`GRANT "postgres" TO "${restorer.user}"`));
});

test('[7] an owner who took privileges on his database from himself has no more of them afterwards', async (context) => {
  const { source, owner, restorer } = await ownedByGroup(context, () => 'create table t (v int)');
  await runSql(source, `alter table t owner to ${owner}; revoke all on database ${source.name} from ${owner}`);
  const backup = await backUp(context, source);
  assert.deepEqual((await restoredBy(context, backup, restorer)).differences, []);
  await onServer(`grant temporary on database ${source.name} to ${owner}`);
  const partly = await backUp(context, source);
  assert.deepEqual((await restoredBy(context, partly, restorer)).differences, []);
  // Backups of earlier releases revoke what everybody may by default, and nothing of the owner's.
  const own = /^REVOKE ALL ON DATABASE .* FROM "own_\w+";\n/m;
  assert.match(backup.globals, own);
  const earlier = databaseProperties(backup.globals.replace(own, ''), 'other', {});
  assert.ok(earlier.others.includes(`REVOKE ALL ON DATABASE "other" FROM "${owner}"`), earlier.others.join('\n'));
});

test('[7] [26] a restoring role that does not inherit what the owners may is told so before, with what mends it', async (context) => {
  const { source, owner, restorer } = await ownedByGroup(
    context,
    (name) => `set role ${name}; create table t (v int primary key); insert into t values (1)`,
  );
  const backup = await backUp(context, source);
  const major = await serverMajor();
  await onServer(
    major >= 16 ? `grant ${owner} to ${restorer.user} with inherit false` : `alter role ${restorer.user} noinherit`,
  );
  const [finding, ...others] = await findingsOf(backup, { server: restorer });
  assert.deepEqual([finding?.severity, others], ['failure', []]);
  assert.match(finding?.message ?? '', new RegExp(`does not inherit .*: "${owner}" \\(database ${source.name}\\)$`));
  await assert.rejects(restoredBy(context, backup, restorer), { type: 'RestoreFailed' });
  const advice = finding?.advice.replace(/ or .*/s, '') ?? '';
  assert.equal(
    advice,
    major >= 16
      ? `GRANT "${owner}" TO "${restorer.user}" WITH INHERIT TRUE, SET TRUE;`
      : `ALTER ROLE "${restorer.user}" INHERIT;`,
  );
  await onServer(advice);
  assert.deepEqual(await findingsOf(backup, { server: restorer }), []);
  assert.deepEqual((await restoredBy(context, backup, restorer)).differences, []);
});

test('[26] a restoring role that makes the missing owners itself has to inherit what they may', async (context) => {
  const { source, owner, restorer } = await ownedByGroup(
    context,
    (name) => `create table t (v int); alter table t owner to ${name}`,
  );
  const backup = await backUp(context, source);
  await runSql(source, `reassign owned by ${owner} to postgres; alter database ${source.name} owner to postgres`);
  await onServer(`drop role ${owner}; alter role ${restorer.user} createrole noinherit`);
  const failures = async () =>
    (await findingsOf(backup, { server: restorer, createRoles: true })).filter(
      ({ severity }) => severity === 'failure',
    );
  if ((await serverMajor()) < 16) {
    const [finding, ...others] = await failures();
    assert.deepEqual(others, []);
    assert.match(finding?.message ?? '', new RegExp(`does not inherit .*"${owner}"`));
    await onServer(finding?.advice.replace(/ or .*/s, '') ?? '');
  }
  assert.deepEqual(await failures(), []);
  await createRoles(restorer, backup);
  const { equal } = await restoredBy(context, backup, restorer);
  assert.equal(equal, true);
});

test('[7] [26] default privileges of a role that owns nothing are told before a restore that may not make them', async (context) => {
  const { source, restorer } = await ownedByGroup(
    context,
    (name) => `set role ${name}; create schema app; reset role; create role "deployer of ${name}";
      alter default privileges for role "deployer of ${name}" grant select on tables to ${name};
      alter default privileges for role "deployer of ${name}" in schema app grant select on tables to ${name}; create table t (v int); alter table t owner to ${name}`,
  );
  const backup = await backUp(context, source);
  for (const scope of [{}, { noOwner: true }]) {
    const [finding, ...others] = await findingsOf(backup, { server: restorer, ...scope });
    assert.deepEqual([finding?.severity, others], ['failure', []]);
    assert.match(finding?.message ?? '', /may not make the default privileges of "deployer of own_\w+"$/);
    assert.match(finding?.advice ?? '', /^GRANT "deployer of own_\w+" TO "reader_\w+"/);
    await assert.rejects(restoredBy(context, backup, restorer, scope), { type: 'RestoreFailed' });
  }
  for (const scope of [{ noPrivileges: true }, { tables: ['t'] }]) {
    assert.deepEqual(await findingsOf(backup, { server: restorer, ...scope }), []);
    assert.equal((await restoredBy(context, backup, restorer, scope)).equal, true);
  }
  const [finding] = await findingsOf(backup, { server: restorer });
  await onServer(finding?.advice.replace(/ or .*/s, '') ?? '');
  assert.deepEqual(await findingsOf(backup, { server: restorer }), []);
  assert.deepEqual((await restoredBy(context, backup, restorer)).differences, []);
});

test('[7] [26] a tablespace that the restoring role may make nothing in is named with the grant for it', async (context) => {
  const { source, restorer } = await ownedByGroup(context, () => '');
  const space = `space_${source.name}`;
  const session = await openSession(context, source);
  await session.query('set allow_in_place_tablespaces = on');
  await session.query(`create tablespace ${space} location ''`);
  context.after(() => onServer(`drop tablespace ${space}`));
  await runSql(source, `create table t (v int) tablespace ${space}`);
  const backup = await backUp(context, source);
  await runSql(source, 'drop table t');
  const [finding, ...others] = (await findingsOf(backup, { server: restorer, noOwner: true })).filter(
    isAboutTablespace,
  );
  assert.deepEqual([finding?.severity, others], ['failure', []]);
  const [some] = (await findingsOf(backup, { server: restorer, noOwner: true, tables: ['t'] })).filter(
    isAboutTablespace,
  );
  assert.equal(some?.severity, 'warning');
  await assert.rejects(restoredBy(context, backup, restorer, { noOwner: true }), /permission denied for tablespace/);
  assert.equal(finding?.advice, `GRANT CREATE ON TABLESPACE "${space}" TO "${restorer.user}";`);
  await onServer(finding.advice);
  assert.deepEqual(await findingsOf(backup, { server: restorer, noOwner: true }), []);
});

test('[7] [26] tables whose row-level security is forced on the role that compares them are told before, with what mends it', async (context) => {
  const { source, restorer } = await ownedByGroup(
    context,
    (
      name,
    ) => `set role ${name}; create table "Orders" (v int primary key); create table items (v int primary key); create table plain (v int);
      insert into "Orders" values (1); alter table "Orders" enable row level security; alter table "Orders" force row level security;
      alter table items enable row level security; alter table plain force row level security`,
  );
  const backup = await backUp(context, source);
  for (const scope of [{}, { noOwner: true, noPrivileges: true }, { tables: ['Orders'] }]) {
    const [finding, ...others] = await findingsOf(backup, { server: restorer, ...scope });
    assert.deepEqual([finding?.severity, others], ['failure', []]);
    assert.match(finding?.message ?? '', /cannot compare .*: public\."Orders"$/);
    assert.equal(finding?.advice, `ALTER ROLE "${restorer.user}" BYPASSRLS;`);
    await assert.rejects(restoredBy(context, backup, restorer, scope), /row-level security/);
  }
  assert.deepEqual(await findingsOf(backup, { server: restorer, tables: ['items', 'plain'] }), []);
  const uncounted = await backUp(context, source, { dump: { inventory: 'off' } });
  assert.deepEqual(await findingsOf(uncounted, { server: restorer }), []);
  assert.equal((await restoredBy(context, uncounted, restorer)).equal, true);
  await onServer(`alter role ${restorer.user} bypassrls`);
  assert.deepEqual(await findingsOf(backup, { server: restorer }), []);
  assert.deepEqual((await restoredBy(context, backup, restorer)).differences, []);
});

test('[7] [26] a database that its owner may not connect to is refused to a role that could not look at it either', async (context) => {
  const { source, owner, restorer } = await ownedByGroup(context, (name) => `create role "app of ${name}"`);
  await onServer(
    `revoke connect on database ${source.name} from public; grant connect on database ${source.name} to "app of ${owner}"`,
  );
  // Its owner may still.
  assert.deepEqual(await findingsOf(await backUp(context, source), { server: restorer }), []);
  await onServer(`revoke connect on database ${source.name} from ${owner}`);
  const backup = await backUp(context, source);
  const [finding, ...others] = await findingsOf(backup, { server: restorer });
  assert.deepEqual([finding?.severity, others], ['failure', []]);
  assert.match(finding?.message ?? '', /: only "app of own_\w+" may connect to the database$/);
  await assert.rejects(restoredBy(context, backup, restorer), /permission denied for database/);
  assert.deepEqual(await findingsOf(backup, { server: restorer, noPrivileges: true }), []);
  await onServer(finding?.advice.replace(/ or .*/s, '') ?? '');
  assert.deepEqual(await findingsOf(backup, { server: restorer }), []);
  assert.deepEqual((await restoredBy(context, backup, restorer)).differences, []);
});

function isAboutTablespace({ message }: Finding): boolean {
  return /may make nothing in tablespace/.test(message);
}
