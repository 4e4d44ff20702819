import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reconcile } from '../../../../core/restore/reconcile/reconcile.ts';
import { createDatabase } from '../../../support/servers.ts';
import { accessTo, createRole, openSession, runSql } from '../../postgres/support.ts';
import { backUp, findingsOf, newTarget, onServer, restore } from '../support.ts';

test('[7] a membership that changed after the backup is a remark, and the role that it was of is not missed', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  const { name } = source;
  await runSql(
    source,
    `create role app_${name}; create role staff_${name}; create role company_${name}; grant company_${name} to staff_${name};
     grant staff_${name}, pg_read_all_data to app_${name}; create table t (v int); alter table t owner to app_${name}`,
  );
  const backup = await backUp(context, source);
  assert.deepEqual(
    backup.inventory.roles.filter((role) => role.named !== true).map((role) => role.name),
    [`company_${name}`, 'pg_read_all_data', `staff_${name}`],
  );
  await onServer(`revoke staff_${name}, pg_read_all_data from app_${name}`);
  await restore(backup, target);
  const result = await reconcile({ database: accessTo(target), expected: backup.inventory });
  assert.deepEqual(
    result.differences.map(({ severity, object, what, expected, found }) => [severity, object, what, expected, found]),
    [['remark', `app_${name}`, 'member of', `pg_read_all_data, staff_${name}`, '']],
  );
  assert.deepEqual([result.equal, result.differenceCount], [true, 0]);
  // What the inventories of earlier releases do not tell is taken from who is a member of whom.
  const roles = backup.inventory.roles.map((role) => ({ ...role, named: undefined }));
  const earlier = await reconcile({ database: accessTo(target), expected: { ...backup.inventory, roles } });
  assert.equal(earlier.equal, true);
});

test('[7] [26] a server without the roles that others were members of takes the database, and says so before', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  const { name } = source;
  await runSql(
    source,
    `create role app_${name}; create role staff_${name}; grant staff_${name} to app_${name}; create table t (v int); alter table t owner to app_${name}`,
  );
  const backup = await backUp(context, source);
  await onServer(`drop role staff_${name}`);
  const [finding, ...others] = await findingsOf(backup);
  assert.deepEqual([finding?.severity, others], ['warning', []]);
  assert.match(finding?.message ?? '', new RegExp(`^1 roles are missing that .* members of: "staff_${name}"`));
  assert.match(finding?.advice ?? '', new RegExp(`CREATE ROLE staff_${name};`));
  await restore(backup, target);
  const { equal } = await reconcile({ database: accessTo(target), expected: backup.inventory });
  assert.equal(equal, true);
});

test('[7] a role that nothing in the restored database names any more is a difference', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  const role = `app_${source.name}`;
  await runSql(
    source,
    `create role ${role}; create extension pg_trgm; grant execute on function show_limit() to ${role}`,
  );
  const backup = await backUp(context, source);
  await restore(backup, target);
  const compare = () => reconcile({ database: accessTo(target), expected: backup.inventory });
  assert.deepEqual((await compare()).differences, []);
  await runSql(target, `revoke execute on function show_limit() from ${role}`);
  assert.deepEqual(
    (await compare()).differences.map(({ severity, object, what, found }) => [severity, object, what, found]),
    [
      ['difference', role, 'use', 'nothing does'],
      ['difference', 'public.show_limit()', 'privileges', 'those it was made with'],
    ],
  );
});

test('[7] privileges on what extensions and the server brought are compared, where they are others than they were made with', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  const role = `app_${source.name}`;
  const widened = `
    grant execute on function app.gen_salt(text) to public; grant usage on language plpgsql to public;
    grant execute on function pg_sleep(double precision) to public; revoke select (rolname) on pg_authid from ${role};
    revoke grant option for execute on function pg_ls_dir(text) from ${role}`;
  await runSql(
    source,
    `create role ${role}; create schema app; create extension pgcrypto schema app; create extension pg_trgm;
     revoke execute on function app.gen_salt(text) from public; grant execute on function app.gen_salt(text) to ${role};
     revoke usage on language plpgsql from public; revoke execute on function pg_sleep(double precision) from public;
     grant select (rolname) on pg_authid to ${role}; grant execute on function pg_ls_dir(text) to ${role} with grant option;
     revoke execute on function show_limit() from public; grant execute on function show_limit() to public`,
  );
  const backup = await backUp(context, source);
  await restore(backup, target);
  const compare = (expected = backup.inventory) => reconcile({ database: accessTo(target), expected });
  assert.deepEqual((await compare()).differences, []);
  await runSql(target, widened);
  const { differences, equal } = await compare();
  assert.equal(equal, false);
  const asMade = 'those it was made with';
  assert.deepEqual(
    differences.map(({ severity, kind, object, what, expected, found }) => [
      `${severity} ${kind} ${object}: ${what}`,
      expected,
      found,
    ]),
    [
      [
        'difference function app.gen_salt(pg_catalog.text): privileges',
        `EXECUTE to ${role}, no EXECUTE from public`,
        `EXECUTE to ${role}`,
      ],
      [
        'difference function pg_catalog.pg_ls_dir(pg_catalog.text): privileges',
        `EXECUTE to ${role}, EXECUTE with grant option to ${role}`,
        `EXECUTE to ${role}`,
      ],
      ['difference function pg_catalog.pg_sleep(double precision): privileges', 'no EXECUTE from public', asMade],
      ['difference language plpgsql: privileges', 'no USAGE from public', asMade],
      ['difference table column pg_catalog.pg_authid.rolname: privileges', `SELECT to ${role}`, asMade],
    ],
  );
  const scope = { noPrivileges: true };
  assert.deepEqual(
    (await reconcile({ database: accessTo(target), expected: backup.inventory, ...scope })).differences,
    [],
  );
  // Inventories of earlier releases do not tell.
  const { systemPrivileges: _, ...earlier } = backup.inventory;
  assert.deepEqual((await compare(earlier)).differences, []);

  // What a server's template gives beyond is the server's.
  const other = await backUp(context, await createDatabase(context));
  const wide = await newTarget(context);
  await restore(other, wide);
  await runSql(wide, `grant execute on function pg_ls_dir(text) to ${role}`);
  const beyond = await reconcile({ database: accessTo(wide), expected: other.inventory });
  assert.deepEqual(
    beyond.differences.map(({ severity, kind, object, expected, found }) => [
      severity,
      `${kind} ${object}`,
      expected,
      found,
    ]),
    [['remark', 'function pg_catalog.pg_ls_dir(pg_catalog.text)', asMade, `EXECUTE to ${role}`]],
  );
});

test('[7] privileges that somebody else granted than at the source are a difference', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  const [owner, giver, reader] = ['owner', 'giver', 'reader'].map((each) => `${each}_${source.name}`);
  await runSql(
    source,
    `create role ${owner}; create role ${giver}; create role ${reader};
     create schema app authorization ${owner}; create table app.t (a int); alter table app.t owner to ${owner};
     grant usage on schema app to ${giver} with grant option; grant select on app.t to ${giver} with grant option;
     set role ${giver}; grant select on app.t to ${reader}; reset role; set role ${owner}; grant usage on schema app to ${reader}`,
  );
  const backup = await backUp(context, source);
  await restore(backup, target);
  const compare = (expected = backup.inventory) => reconcile({ database: accessTo(target), expected });
  assert.deepEqual((await compare()).differences, []);
  await runSql(
    target,
    `set role ${owner}; revoke usage on schema app from ${reader}; reset role; set role ${giver}; grant usage on schema app to ${reader};
     revoke select on app.t from ${reader}; reset role; set role ${owner}; grant select on app.t to ${reader}`,
  );
  const { differences } = await compare();
  assert.deepEqual(
    differences.map(({ severity, kind, object, what, expected, found }) => [
      severity,
      kind,
      object,
      what,
      expected,
      found,
    ]),
    [
      ['difference', 'privileges', 'app.t', 'grantor', giver, 'its owner alone'],
      ['difference', 'privileges', 'app', 'grantor', 'its owner alone', giver],
    ],
  );
  assert.deepEqual(
    (await reconcile({ database: accessTo(target), expected: backup.inventory, noOwner: true })).differences,
    [],
  );
  // Inventories of earlier releases do not tell.
  const { needs, ...earlier } = backup.inventory;
  assert.ok(needs);
  assert.deepEqual((await compare({ ...earlier, needs: { ...needs, grantors: undefined } })).differences, []);
  assert.deepEqual((await compare(earlier)).differences, []);
});

test('[7] owners of what a restore gives to nobody else are not missed: of extensions and temporary tables', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  const owner = await createRole(source);
  await runSql(
    source,
    `grant create on database ${source.name} to ${owner.user}; set role ${owner.user}; create extension citext; reset role;
     revoke create on database ${source.name} from ${owner.user}`,
  );
  const temporary = await openSession(context, source);
  await temporary.query(`create role passing_${source.name}; create temporary table passing (v int)`);
  await temporary.query(`alter table passing owner to passing_${source.name}`);
  const backup = await backUp(context, source);
  await restore(backup, target);
  const { differences } = await reconcile({ database: accessTo(target), expected: backup.inventory });
  assert.deepEqual(differences, []);
});
