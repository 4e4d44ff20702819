import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { connect, endSession, queryError, type DatabaseAccess } from '../../../../core/postgres/access.ts';
import type { RestoreScope } from '../../../../core/restore/run.ts';
import { reconcile } from '../../../../core/restore/reconcile/reconcile.ts';
import { runChecks } from '../../../../core/restore/reconcile/sqlChecks.ts';
import { createDatabase } from '../../../support/servers.ts';
import { accessTo, createRole, runSql } from '../../postgres/support.ts';
import {
  backUp,
  databasesLike,
  findingsOf,
  newTarget,
  onServer,
  restore,
  serverMajor,
  type StoredDatabase,
} from '../support.ts';

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

test('[7] who owns something where he may create by a grant only, or not at all, owns it again, and may no more than before', async (context) => {
  const source = await createDatabase(context);
  const role = await createRole(source, 'createdb');
  const [keeper, app] = [`keeper_${source.name}`, `"the app.of ${source.name}"`];
  await runSql(
    source,
    `create role ${keeper}; create role ${app}; grant ${keeper}, ${app}, pg_read_all_data to ${role.user};
     alter database ${source.name} owner to ${keeper}; alter schema public owner to ${keeper};
     grant create on schema public to ${app}; create table public.granted (id serial primary key); alter table public.granted owner to ${app};
     create schema "odd.one"; alter schema "odd.one" owner to ${keeper};
     create function "odd.one".f(int) returns int language sql as 'select $1'; alter function "odd.one".f owner to ${app};
     create operator "odd.one".@@ (function = "odd.one".f, rightarg = int); alter operator "odd.one".@@ (none, int) owner to ${app};
     create schema of_app; alter schema of_app owner to ${app}; create type of_app.t as (a int); alter type of_app.t owner to ${app};
     create schema shut; alter schema shut owner to ${keeper}; create view shut.v as select 1 as one; alter view shut.v owner to ${keeper};
     revoke all on schema shut from ${keeper};
     create publication p for table granted; alter publication p owner to ${app}`,
  );
  const backup = await backUp(context, source);
  for (const scope of [{}, { tables: ['public.granted'] }]) {
    const target = await newTarget(context);
    const server = { ...role, name: 'postgres' };
    assert.deepEqual(await findingsOf(backup, { server, ...scope }), []);
    await restore(backup, target, { server, ...scope });
    const { differences } = await reconcile({ database: accessTo(target), expected: backup.inventory, ...scope });
    assert.deepEqual(differences, []);
  }
});

test('[7] an owner that revoked rights of his own gets everything back, and has as few again', async (context) => {
  const source = await createDatabase(context);
  const role = await createRole(source, 'createdb');
  const [owner, other, reader] = [`owner_${source.name}`, `other_${source.name}`, `reading_${source.name}`];
  await runSql(
    source,
    `create role ${owner}; create role ${other}; create role ${reader}; grant ${owner}, ${other} to ${role.user};
     alter database ${source.name} owner to ${owner}; alter schema public owner to ${owner};
     create schema app; alter schema app owner to ${owner}; comment on schema app is 'The application.';
     create table app.archive (id serial primary key, t text); insert into app.archive (t) values ('a'), ('b');
     create index on app.archive (upper(t)); create materialized view app.upper as select upper(t) from app.archive;
     create table app.shared (id int primary key, secret text); grant all on app.shared to ${other} with grant option;
     create table public.plain (id int primary key); insert into public.plain values (1);
     select lo_from_bytea(555, 'contents'); alter large object 555 owner to ${owner};
     alter table app.archive owner to ${owner}; alter materialized view app.upper owner to ${owner};
     alter table app.shared owner to ${owner}; alter table public.plain owner to ${owner}`,
  );
  await runSql(
    source,
    `set role ${owner}; grant select on app.shared to ${reader}; grant usage on schema app to ${reader};
     grant select (secret) on app.shared to ${reader};
     grant all on schema app to ${other} with grant option; alter default privileges in schema app grant select on tables to ${reader};
     revoke insert, update, delete, truncate on app.archive from ${owner}; revoke all on app.archive_id_seq from ${owner};
     revoke update on large object 555 from ${owner}; revoke all on schema app from ${owner}; revoke create on schema public from ${owner}`,
  );
  const backup = await backUp(context, source);
  const server = { ...role, name: 'postgres' };
  const privileges = `select relname::text as name, relacl::text as acl from pg_class where relacl is not null and oid > 16383
    union all select nspname, nspacl::text from pg_namespace where oid > 16383 or nspname = 'public'
    union all select attname, attacl::text from pg_attribute where attacl is not null and attrelid > 16383
    union all select 'default', defaclacl::text from pg_default_acl order by 1`;
  const [finding, ...others] = await findingsOf(backup, { server });
  assert.match(finding?.message ?? '', /took that right from themselves on app, app\.archive_id_seq$/);
  assert.deepEqual([finding?.severity, others], ['failure', []]);
  await runSql(source, finding?.advice.replace(/; or .*/, '') ?? '');
  for (const scope of [{}, { tables: ['app.shared'] }, { noOwner: true }]) {
    const target = await newTarget(context);
    assert.deepEqual(await findingsOf(backup, { server, ...scope }), []);
    await restore(backup, target, { server, ...scope });
    const { differences } = await reconcile({
      database: { ...role, name: target.name },
      expected: backup.inventory,
      ...scope,
    });
    assert.deepEqual(differences, []);
    assert.deepEqual(await runSql(target, `select obj_description('app'::regnamespace) as comment`), [
      { comment: 'The application.' },
    ]);
    // Also who granted it.
    if (!('tables' in scope || 'noOwner' in scope)) assert.deepEqual(await sorted(target), await sorted(source));
  }
  async function sorted(database: typeof source) {
    const rows = await runSql(database, privileges);
    return rows.map(({ name, acl }) => [name, String(acl).slice(1, -1).split(',').toSorted()]);
  }
});

interface Lacking {
  readonly message: RegExp;
  readonly advice: RegExp;
  /** What the restore that is begun all the same says. */
  readonly failure: RegExp;
  readonly hint: RegExp;
  /** SQL that gives what is lacking; unset, the advice itself. */
  readonly mending?: string;
  readonly scope?: RestoreScope;
  /** What else it finds. */
  readonly beside?: readonly RegExp[];
}

/** What the look at the server finds is what the restore fails at, and what it advises is what mends it. */
async function assertLacking(
  context: TestContext,
  backup: StoredDatabase,
  role: DatabaseAccess,
  { message, advice, failure, hint, mending, scope = {}, beside = [] }: Lacking,
): Promise<void> {
  const server = { ...role, name: 'postgres' };
  const found = await findingsOf(backup, { server, ...scope });
  const [finding, ...others] = found.filter((each) => !beside.some((known) => known.test(each.message)));
  assert.ok(finding);
  assert.deepEqual([finding.severity, others, found.length], ['failure', [], 1 + beside.length]);
  assert.match(finding.message, message);
  assert.match(finding.advice, advice);
  await assert.rejects(restore(backup, await newTarget(context), { server, ...scope }), {
    type: 'RestoreFailed',
    message: failure,
    advice: hint,
  });
  await onServer(mending ?? finding.advice);
  assert.deepEqual(await findingsOf(backup, { server, ...scope }), []);
  const target = await newTarget(context);
  await restore(backup, target, { server, ...scope });
  const { differences } = await reconcile({ database: accessTo(target), expected: backup.inventory, ...scope });
  assert.deepEqual(
    differences.filter(({ severity }) => severity === 'difference'),
    [],
  );
}

test('an object that nobody owns is named by its name alone where it cannot be restored', async (context) => {
  const source = await createDatabase(context);
  const role = await createRole(source, 'createdb');
  await runSql(
    source,
    `alter database ${source.name} owner to ${role.user}; alter schema public owner to ${role.user}; create extension postgres_fdw`,
  );
  const backup = await backUp(context, source);
  await assert.rejects(restore(backup, await newTarget(context), { server: { ...role, name: 'postgres' } }), {
    type: 'RestoreFailed',
    message: /^extension postgres_fdw cannot be restored: permission denied to create extension/,
    advice: /^Restore as a superuser/,
  });
});

test('[7] a restore works as the role that logs in and may write, whatever the database or that role has set', async (context) => {
  const source = await createDatabase(context);
  const role = await createRole(source, 'createdb');
  const [other, reader] = [`other_${source.name}`, `backs_up_${source.name}`];
  await runSql(
    source,
    `create role ${other}; grant ${other} to ${role.user}; alter database ${source.name} owner to ${role.user};
     alter schema public owner to ${role.user}; set role ${role.user}; create table t (v int); insert into t values (1);
     create sequence s; reset role; alter database ${source.name} set role = '${other}'; alter role ${role.user} set default_transaction_read_only = on;
     create role ${reader} superuser login password 'reads'; alter role ${reader} set role = 'none'`,
  );
  const backup = await backUp(context, source, { access: accessTo(source, { user: reader, password: 'reads' }) });
  const target = await newTarget(context);
  const server: DatabaseAccess = { ...role, name: 'postgres', restores: true };
  assert.deepEqual(await findingsOf(backup, { server }), []);
  await restore(backup, target, { server });
  const database = { ...server, name: target.name };
  const result = await reconcile({ database, expected: backup.inventory });
  assert.deepEqual(result.differences, []);
  // Whoever reads, and the source's own checks, are who the database says.
  const reading = await connect({ ...role, name: target.name });
  const { rows } = await reading.query(`select current_user as it, current_setting('transaction_read_only') as only`);
  await endSession(reading);
  assert.deepEqual(rows, [{ it: other, only: 'on' }]);
  const checks = [
    { name: 'role', sql: `select current_user = '${other}'` },
    { name: 'setting', sql: `select current_setting('default_transaction_read_only') = 'on'` },
  ];
  assert.deepEqual(
    (await runChecks(database, checks)).map(({ passed }) => passed),
    [true, true],
  );
  await onServer(`alter database ${target.name} owner to postgres`);
});

test('[7] a role that restores as another one, because it is set so itself, goes on doing so', async (context) => {
  const source = await createDatabase(context);
  const role = await createRole(source);
  const other = `other_${source.name}`;
  await runSql(
    source,
    `create role ${other} createdb; grant ${other} to ${role.user}; alter database ${source.name} owner to ${other};
     alter schema public owner to ${other}; create table t (v int); alter table t owner to ${other}; alter role ${role.user} set role = '${other}'`,
  );
  const backup = await backUp(context, source);
  const target = await newTarget(context);
  const server: DatabaseAccess = { ...role, name: 'postgres', restores: true };
  assert.deepEqual(await findingsOf(backup, { server }), []);
  await restore(backup, target, { server });
  const result = await reconcile({ database: { ...server, name: target.name }, expected: backup.inventory });
  assert.deepEqual(result.differences, []);
});

test('[7] privileges that the server only warns it has not restored fail the restore, by their object', async (context) => {
  for (const [sql, message] of [
    [
      'revoke usage on language plpgsql from public',
      /^privileges on language plpgsql cannot be restored: no privileges could be revoked for "plpgsql"$/,
    ],
    [
      'revoke execute on function pg_sleep(double precision) from public',
      /^privileges on function pg_catalog\.pg_sleep\(double precision\) cannot be restored: no privileges could be revoked/,
    ],
    [
      'create schema "a b"; create extension pgcrypto schema "a b"; grant execute on function "a b".gen_salt(text) to pg_monitor',
      /^privileges on function a b\.gen_salt\(text\) cannot be restored: no privileges were granted for "gen_salt"$/,
    ],
  ] as const) {
    const { role, backup } = await ownedBy(context, () => sql);
    const server = { ...role, name: 'postgres' };
    const options = { server, noOwner: true };
    const target = await newTarget(context);
    const [told] = await findingsOf(backup, options);
    assert.match(told?.message ?? '', /^privileges were changed on what the server or an extension brought/);
    assert.deepEqual(await findingsOf(backup, { ...options, noPrivileges: true }), []);
    await assert.rejects(restore(backup, target, options), {
      type: 'RestoreFailed',
      message,
      advice: 'Restore as a superuser, or leave privileges out (--no-privileges).',
    });
    assert.deepEqual(await databasesLike(target.name), []);
    await restore(backup, target, { ...options, noPrivileges: true });
    await onServer(`alter database ${target.name} owner to postgres`);
  }
});

test('the hint for a role that restores is not about the one that reads', () => {
  const access = {
    host: 'db',
    port: 5432,
    name: 'shop',
    user: 'restorer',
    sslmode: 'prefer',
    lockTimeout: 1,
    rolePasswords: false,
  } as const;
  const cause = Object.assign(new Error('permission denied for table pg_authid'), { code: '42501' });
  assert.match(queryError(access, 'looking', cause).advice ?? '', /`holdfast doctor` names what the roles lack/);
  assert.match(
    queryError({ ...access, restores: true }, 'looking', cause).advice ?? '',
    /^Give role restorer on that server the right/,
  );
});

/** A database that belongs to a role that is no superuser, and what the superuser did in it. */
async function ownedBy(context: TestContext, sql: (role: string, name: string) => string) {
  const source = await createDatabase(context);
  const role = await createRole(source, 'createdb');
  const { name } = source;
  await runSql(
    source,
    `alter database ${name} owner to ${role.user}; alter schema public owner to ${role.user}; ${sql(role.user, name)}`,
  );
  return { source, role, backup: await backUp(context, source) };
}

test('[7] [26] a restoring role that may not set what the database sets is told the grant that mends it', async (context) => {
  const { role, backup } = await ownedBy(
    context,
    (owner, name) =>
      `create table t (v int); alter table t owner to ${owner}; alter database ${name} set log_statement = 'all'; alter database ${name} set "my.setting" = 'it''s'; alter database ${name} set work_mem = '5MB'`,
  );
  if ((await serverMajor()) < 15) return context.skip('only superusers may grant it');
  await assertLacking(context, backup, role, {
    message: /may not set "log_statement", "my"\."setting" for a database/,
    advice: /^GRANT SET ON PARAMETER "log_statement", "my"\."setting" TO "reader_\w+";$/,
    failure: /permission denied to set parameter/,
    hint: /GRANT SET ON PARAMETER "(log_statement|my"\."setting)" TO/,
    scope: { noOwner: true, noPrivileges: true },
  });
});

test('[7] [26] a restoring role that may not set what the database sets for single roles is told so', async (context) => {
  const { source, role, backup } = await ownedBy(
    context,
    (owner, name) =>
      `create role app_${name}; alter role app_${name} in database ${name} set work_mem = '5MB'; alter role ${owner} in database ${name} set work_mem = '6MB'`,
  );
  const server = { ...role, name: 'postgres' };
  assert.deepEqual(await findingsOf(backup, { server, noOwner: true }), []);
  await assertLacking(context, backup, role, {
    message: new RegExp(`may not set what the dumped database sets for "app_${source.name}"$`),
    advice: /^ALTER ROLE "reader_\w+" CREATEROLE;/,
    failure: /ALTER ROLE "app_\w+" IN DATABASE "\w+" SET "work_mem": permission denied/,
    hint: /CREATEROLE for the role that restores/,
  });
});

test('[7] [26] privileges that others than the owner granted are told before a restore that cannot grant them', async (context) => {
  const { source, role, backup } = await ownedBy(
    context,
    (owner, name) =>
      `create role boss_${name}; create role app_${name}; create table t (v int); alter table t owner to ${owner};
       grant select on t to boss_${name} with grant option; set role boss_${name}; grant select (v) on t to app_${name}`,
  );
  await assertLacking(context, backup, role, {
    message: new RegExp(`only a superuser can restore: by "boss_${source.name}" on public\\.t$`),
    advice: /superuser, or leave privileges out/,
    failure: /permission denied to set session authorization/,
    hint: /Somebody else than the owner granted this/,
    mending: `alter role ${role.user} superuser`,
  });
  const server = { ...role, name: 'postgres' };
  await onServer(`alter role ${role.user} nosuperuser`);
  assert.deepEqual(await findingsOf(backup, { server, noPrivileges: true }), []);
  await restore(backup, await newTarget(context), { server, noPrivileges: true });
});

test('[7] [8] [26] materialized views that row-level security keeps from being filled are told before, with what mends it', async (context) => {
  const { source, role, backup } = await ownedBy(
    context,
    (owner, name) =>
      `create role app_${name}; create schema apart authorization app_${name};
       create table open (v int); create table forced (v int); create table owned (v int); insert into forced values (1); insert into owned values (2);
       alter table forced owner to ${owner}; alter table owned owner to ${owner}; grant select on owned to app_${name}; grant app_${name} to ${owner};
       create view apart.between as select * from owned; alter view apart.between owner to app_${name};
       create materialized view one as select v from forced; create materialized view two as select v from apart.between;
       create materialized view three as select v from owned; create materialized view four as select v from open; create materialized view five as select v from forced with no data;
       alter materialized view one owner to ${owner}; grant select on apart.between to ${owner}; alter materialized view two owner to ${owner}; alter materialized view three owner to ${owner}; alter table open owner to ${owner}; alter materialized view four owner to ${owner}; alter materialized view five owner to ${owner};
       alter table forced enable row level security; alter table forced force row level security; alter table owned enable row level security`,
  );
  await assertLacking(context, backup, role, {
    message: new RegExp(
      `: public\\.one \\(reads public\\.forced as "${role.user}"\\), public\\.two \\(reads public\\.owned as "app_${source.name}"\\)$`,
    ),
    advice: new RegExp(`ALTER ROLE "${role.user}" BYPASSRLS; ALTER ROLE "app_${source.name}" BYPASSRLS;`),
    failure: /materialized view data public\.(one|two) cannot be restored: query would be affected/,
    hint: /BYPASSRLS for who owns it/,
    beside: [/row-level security is forced on their owner: public\.forced$/],
    mending: `alter role ${role.user} bypassrls; alter role app_${source.name} bypassrls`,
  });
  await onServer(`alter role ${role.user} nobypassrls`);
  const own = await findingsOf(backup, { server: { ...role, name: 'postgres' }, noOwner: true });
  assert.deepEqual(
    own.map(({ message }) => /: (.*)$/.exec(message)?.[1]),
    ['public.forced', `public.one (reads public.forced as "${role.user}")`],
  );
});
