import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { migrateCatalog } from '../../../../core/catalog/migrate.ts';
import { openCatalog } from '../../../../core/catalog/catalog.ts';
import type { Inventory } from '../../../../core/postgres/inventorySchema.ts';
import type { Manifest } from '../../../../core/repository/manifest.ts';
import { refuseOwnStores } from '../../../../core/restore/plan/ownStores.ts';
import { preflightTarget } from '../../../../core/restore/plan/preflightTarget.ts';
import { createRolesSql } from '../../../../core/restore/database/sourceRoles.ts';
import { createTarget, dropLeftOvers } from '../../../../core/restore/database/targetDatabase.ts';
import { newAttempt } from '../../../../core/restore/database/targetMark.ts';
import type { PreflightTargetOptions, TargetInspection } from '../../../../core/restore/run.ts';
import { createDatabase } from '../../../support/servers.ts';
import { accessTo, createRole, runSql } from '../../postgres/support.ts';
import { backUp, maintenance, newTarget, onServer, type StoredDatabase } from '../support.ts';

function inspect(backup: StoredDatabase, changes: Partial<PreflightTargetOptions> = {}): Promise<TargetInspection> {
  return preflightTarget({
    manifest: backup.manifest,
    description: backup,
    server: maintenance(),
    target: 'holdfast_test_nowhere',
    ...changes,
  });
}

function failures({ findings }: TargetInspection): string[] {
  return findings.filter(({ severity }) => severity === 'failure').map(({ message }) => message);
}

async function smallBackup(context: TestContext, sql = 'create table t (v int)') {
  const source = await createDatabase(context);
  await runSql(source, sql);
  return { source, backup: await backUp(context, source) };
}

test('[26] a server that has everything has no failure, and says how much room there is', async (context) => {
  const { backup } = await smallBackup(context);
  const inspection = await inspect(backup);
  assert.deepEqual(failures(inspection), []);
  assert.deepEqual(inspection.createRoles, []);
  assert.ok((inspection.freeBytes ?? 0) > inspection.requiredBytes);
  assert.ok(inspection.requiredBytes > (backup.manifest.database?.bytes ?? 0));
});

test('[7] [26] missing roles are named with the SQL that makes them as they were, memberships and settings too', async (context) => {
  const source = await createDatabase(context);
  const [group, member] = [`group_${source.name}`, `Odd "member" ${source.name}`];
  const odd = member.replaceAll('"', '""');
  await runSql(
    source,
    `create role ${group} createdb; create role "${odd}" login password 'secret' in role ${group}; alter role "${odd}" set app.motto = '5MB; --';
     comment on role ${group} is 'the group''s; role'; grant pg_monitor to ${group}; create table t (v int); alter table t owner to "${odd}"`,
  );
  const backup = await backUp(context, source, { access: accessTo(source, { rolePasswords: true }) });
  await runSql(source, `reassign owned by "${odd}" to postgres; drop owned by "${odd}"`);
  await onServer(`drop role "${odd}"; drop role ${group}`);
  const inspection = await inspect(backup);
  const [failure] = failures(inspection);
  assert.match(failure ?? '', /^2 roles are missing/);
  assert.ok(failure?.includes(group) && failure.includes(`"${odd}"`), failure);
  // What is shown passes through logs and histories.
  assert.doesNotMatch(JSON.stringify(inspection), /SCRAM|app\.motto/);
  const names = backup.inventory.roles.map(({ name }) => name).filter((name) => name.includes(source.name));
  await onServer(createRolesSql(backup.globals, names, ['pg_monitor'], 'complete').join('\n'));
  assert.deepEqual(failures(await inspect(backup)), []);
  const [row] = await onServer(`
    select r.rolcreatedb, shobj_description(r.oid, 'pg_authid') as comment, pg_has_role(m.oid, r.oid, 'member') as member, m.rolcanlogin,
           m.rolconfig, pg_has_role(r.oid, 'pg_monitor', 'member') as monitor,
           (select rolpassword like 'SCRAM%' from pg_authid a where a.oid = m.oid) as password
      from pg_roles r, pg_roles m where r.rolname = '${group}' and m.rolname = '${member}'`);
  assert.deepEqual(row, {
    rolcreatedb: true,
    comment: "the group's; role",
    member: true,
    rolcanlogin: true,
    rolconfig: ['app.motto=5MB; --'],
    monitor: true,
    password: true,
  });
  const without = await inspect({ ...backup, inventory: { ...backup.inventory, roles: [] } });
  assert.deepEqual(without.createRoles, []);
});

test('[7] [26] extensions, tablespaces, an older server and too little room are named', async (context) => {
  const { backup } = await smallBackup(context, 'create extension pg_trgm');
  const inventory: Inventory = {
    ...backup.inventory,
    extensions: [
      { name: 'pg_trgm', version: '0.9', schema: 'public' },
      { name: 'postgis', version: '3.5.0', schema: 'public' },
    ],
    tablespaces: ['pg_default', 'fast disks'],
  };
  const database = backup.manifest.database;
  assert.ok(database);
  const manifest: Manifest = { ...backup.manifest, database: { ...database, serverVersion: '99.1', bytes: 2 ** 52 } };
  const inspection = await inspect({ ...backup, inventory, manifest });
  const told = failures(inspection).join('\n');
  assert.match(told, /extension postgis 3\.5\.0 is not installed/);
  assert.match(told, /tablespace fast disks is missing/);
  assert.match(told, /older than 99\.1/);
  assert.match(told, /needs about \d+ MiB/);
  const warned = inspection.findings.filter(({ severity }) => severity === 'warning').map(({ message }) => message);
  assert.match(warned.join('\n'), /extension pg_trgm comes in version 1\.\d where 0\.9 was dumped/);
  const newer = await inspect({
    ...backup,
    manifest: { ...manifest, database: { ...database, clientVersion: '99.1' } },
  });
  assert.match(
    newer.findings.map(({ message }) => message).join(),
    /pg_dump 99\.1 wrote the backup, newer than the server/,
  );
});

test('[26] a role that may not create databases or give objects away is told so', async (context) => {
  const { source, backup } = await smallBackup(context);
  const role = await createRole(source);
  const told = failures(await inspect(backup, { server: { ...role, name: 'postgres' } })).join('\n');
  assert.match(told, /may not create databases/);
  assert.match(told, /cannot give what it restores to "postgres"/);
  const own = failures(await inspect(backup, { server: { ...role, name: 'postgres' }, noOwner: true })).join('\n');
  assert.doesNotMatch(own, /cannot give/);
});

test('[26] a target that exists, is no name, or is the server itself is refused', async (context) => {
  const { source, backup } = await smallBackup(context);
  const refused = async (target: string) => failures(await inspect(backup, { target })).join();
  assert.match(await refused(source.name), /exists already/);
  assert.match(await refused('x'.repeat(64)), /has 64 bytes/);
  assert.match(await refused('ö'.repeat(32)), /has 64 bytes/);
  assert.match(await refused('template1'), /belongs to the server/);
  for (const name of ['', ' shop', 'a b', 'a;b', 'a"b', '1st', 'a\nb'])
    assert.match(await refused(name), /no name for a database/);
  for (const name of ['shop-new', 'shop_2', 'Läden.alt']) assert.equal(await refused(name), '');
});

test('[27] what an unfinished restore of the same mark left is no obstacle', async (context) => {
  const { backup } = await smallBackup(context);
  const { name: target } = await newTarget(context);
  const mark = `test/${target}`;
  await createTarget({ server: maintenance(), target, mark, attempt: newAttempt() }, backup.inventory.database);
  assert.deepEqual(failures(await inspect(backup, { target, mark })), []);
  assert.match(failures(await inspect(backup, { target, mark: 'another' })).join(), /exists already/);
  assert.match(failures(await inspect(backup, { target })).join(), /exists already/);
  await dropLeftOvers({ server: maintenance(), target, mark });
});

test("[26] Holdfast's own catalog and Temporal's store are never restored over", async (context) => {
  const { backup } = await smallBackup(context);
  const [catalogDatabase, temporal, other] = [
    await createDatabase(context),
    await createDatabase(context),
    await createDatabase(context),
  ];
  const { host, port, user, password, name } = catalogDatabase;
  const catalog = openCatalog(`postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/${name}`);
  await migrateCatalog(catalog);
  await catalog.close();
  await runSql(
    temporal,
    'create schema t; set search_path = t; create table executions (); create table history_node (); create table schema_version ()',
  );
  await runSql(
    other,
    'create table executions (); create schema t; create table t.history_node (); create table schema_version ()',
  );
  const held = async (replaces: string) => failures(await inspect(backup, { replaces })).join();
  assert.match(await held(catalogDatabase.name), /holds Holdfast's catalog/);
  assert.match(await held(temporal.name), /holds Temporal's store/);
  assert.equal(await held(other.name), '');
  assert.equal(await held('holdfast_test_no_such_database'), '');
  await assert.rejects(refuseOwnStores(accessTo(other, { name: 'postgres' }), temporal.name), {
    type: 'RefusedForSafety',
  });
  await refuseOwnStores(maintenance(), other.name);
});

test('a server that has no connection to give is told from one that cannot be reached', async (context) => {
  const database = await createDatabase(context);
  const role = await createRole(database);
  await onServer(`alter database ${database.name} connection limit 0`);
  await assert.rejects(refuseOwnStores({ ...role, name: 'postgres' }, database.name), {
    type: 'SourceUnreachable',
    message: /too many connections/,
    advice: /CONNECTION LIMIT/,
  });
});

test('[26] a database in place that nobody can look into may hold the catalog, and is not replaced', async (context) => {
  const { backup } = await smallBackup(context);
  const [closed, entered] = [await createDatabase(context), await createDatabase(context)];
  const role = await createRole(entered);
  await onServer(`alter database ${closed.name} allow_connections false`);
  await onServer(`revoke connect on database ${entered.name} from public`);
  const [finding] = (await inspect(backup, { replaces: closed.name })).findings;
  assert.match(finding?.message ?? '', /accepts no connections/);
  assert.deepEqual([finding?.severity, finding?.type], ['failure', 'RefusedForSafety']);
  assert.match(finding?.advice ?? '', new RegExp(`ALTER DATABASE "${closed.name}" WITH ALLOW_CONNECTIONS true;$`));
  await assert.rejects(refuseOwnStores(maintenance(), closed.name), { type: 'RefusedForSafety' });
  await assert.rejects(refuseOwnStores({ ...role, name: 'postgres' }, entered.name), {
    type: 'RefusedForSafety',
    message: /cannot be looked at: .*permission denied/,
  });
});
