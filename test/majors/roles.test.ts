import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRoles } from '../../core/restore/database/createRoles.ts';
import { preflightTarget } from '../../core/restore/plan/preflightTarget.ts';
import { reconcile } from '../../core/restore/reconcile/reconcile.ts';
import { accessTo, createRole, runSql } from '../core/postgres/support.ts';
import { MAJORS } from '../support/postgresMajors.ts';
import { backUpOn, databaseOn, maintenanceOf, restoreOn, serverOf } from './support.ts';

/** Memberships have options of their own from 16 on. */
for (const major of MAJORS.filter((each) => each >= 16)) {
  test(`roles of ${major} are made again with the options of their memberships`, async (context) => {
    const server = await serverOf(major);
    const source = await databaseOn(context, server);
    const [group, member] = [`group_${source.name}`, `member_${source.name}`];
    await runSql(
      source,
      `create role ${group}; create role ${member}; grant ${group} to ${member} with inherit false, set false, admin true;
       create table t (v int); alter table t owner to ${member}; grant select on t to ${group}`,
    );
    const backup = await backUpOn(context, server, source);
    for (const newer of await Promise.all(MAJORS.filter((each) => each >= major).map(serverOf))) {
      const same = newer === server;
      if (same)
        await runSql(
          source,
          `drop owned by ${member}; drop owned by ${group}; drop role ${member}; drop role ${group}`,
        );
      assert.deepEqual(await createRoles(maintenanceOf(newer), backup), [group, member].toSorted());
      assert.deepEqual(
        await runSql(
          newer.maintenance,
          `select inherit_option, set_option, admin_option from pg_auth_members where member = '${member}'::regrole`,
        ),
        [{ inherit_option: false, set_option: false, admin_option: true }],
      );
      const { target } = await restoreOn(context, newer, backup);
      const { differences } = await reconcile({ database: accessTo(target), expected: backup.inventory });
      assert.deepEqual(differences, []);
    }
  });
}

for (const major of MAJORS) {
  test(`[26] who makes the missing roles of ${major} himself can give them what is theirs`, async (context) => {
    const server = await serverOf(major);
    const source = await databaseOn(context, server);
    const owner = `owner_${source.name}`;
    await runSql(
      source,
      `create role ${owner}; create table t (v int); alter table t owner to ${owner}; alter database ${source.name} owner to ${owner}`,
    );
    const backup = await backUpOn(context, server, source);
    await runSql(
      source,
      `alter table t owner to postgres; alter database ${source.name} owner to postgres; drop role ${owner}`,
    );
    const login = { ...(await createRole(source, 'createdb createrole')), name: 'postgres' };
    await createRoles(login, backup);
    const { target } = await restoreOn(context, server, backup, { server: login });
    const { differences } = await reconcile({ database: { ...login, name: target.name }, expected: backup.inventory });
    assert.deepEqual(
      differences.filter(({ severity }) => severity === 'difference'),
      [],
    );
    await runSql(server.maintenance, `alter database ${target.name} owner to postgres`);

    if (major < 16) return;
    // A membership without SET is none for this: said before anything is made.
    await runSql(server.maintenance, `set role ${login.user}; revoke set option for ${owner} from ${login.user}`);
    const { findings } = await preflightTarget({
      manifest: backup.manifest,
      description: backup,
      server: login,
      target: 'nowhere',
    });
    assert.match(findings.map(({ message }) => message).join('\n'), /cannot give what it restores to/);
  });
}

for (const major of MAJORS) {
  test(`[7] privileges of ${major} on what extensions and the server brought come back, and are told apart`, async (context) => {
    const server = await serverOf(major);
    const source = await databaseOn(context, server);
    const role = `app_${source.name}`;
    await runSql(
      source,
      `create role ${role}; create schema app; create extension pgcrypto schema app; create extension pg_stat_statements;
       revoke execute on function app.gen_salt(text) from public; grant execute on function app.gen_salt(text) to ${role};
       revoke usage on language plpgsql from public; revoke execute on function pg_sleep(double precision) from public;
       grant all on pg_authid to ${role}; grant select (datname) on pg_database to ${role}`,
    );
    const backup = await backUpOn(context, server, source);
    assert.deepEqual(
      backup.inventory.systemPrivileges?.map(({ identity }) => identity),
      [
        'app.gen_salt(pg_catalog.text)',
        'pg_catalog.pg_sleep(double precision)',
        'plpgsql',
        'pg_catalog.pg_authid',
        'pg_catalog.pg_database.datname',
      ],
    );
    for (const newer of await Promise.all(MAJORS.filter((each) => each >= major).map(serverOf))) {
      if (newer !== server) await runSql(newer.maintenance, `create role ${role}`);
      const { target } = await restoreOn(context, newer, backup);
      const told = async () => {
        const { differences } = await reconcile({ database: accessTo(target), expected: backup.inventory });
        return differences
          .filter(({ what }) => what === 'privileges')
          .map(({ severity, object }) => `${severity} ${object}`);
      };
      assert.deepEqual(await told(), []);
      await runSql(
        target,
        'grant execute on function app.gen_salt(text) to public; grant usage on language plpgsql to public',
      );
      assert.deepEqual(await told(), ['difference app.gen_salt(pg_catalog.text)', 'difference plpgsql']);
    }
  });
}
