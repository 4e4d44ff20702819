import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DatabaseAccess } from '../../../core/postgres/access.ts';
import { chooseClientPrograms, findClientPrograms, securityWarning } from '../../../core/postgres/clients.ts';
import { checkFloors } from '../../../core/postgres/floors.ts';
import { inspectDatabase } from '../../../core/postgres/preflight.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { createDatabase } from '../../support/servers.ts';
import { accessTo, assertRejects, createRole, dumpInto, fixtureSql, openDump, readOn, runSql } from './support.ts';

async function failures(access: DatabaseAccess): Promise<string[]> {
  const { findings } = await inspectDatabase(access);
  return findings
    .filter((finding) => finding.severity === 'failure')
    .map(({ message, advice }) => `${message} | ${advice}`);
}

test('a superuser is told the facts, and finds nothing in the way', async (context) => {
  const database = await createDatabase(context);
  await runSql(database, await fixtureSql());
  const { server, clients, findings } = await inspectDatabase(accessTo(database));
  assert.equal(server.major, Number(/\d+/.exec(server.version)?.[0]));
  assert.equal(server.encoding, 'UTF8');
  assert.match(server.systemIdentifier ?? '', /^\d{15,}$/);
  assert.equal(server.tables, 14);
  assert.ok(server.bytes > 1_000_000);
  assert.ok((clients?.major ?? 0) >= server.major);
  assert.deepEqual(
    findings.filter((finding) => finding.severity === 'failure'),
    [],
  );
  assert.match(findings.map((finding) => finding.message).join('\n'), /rows of 1 foreign tables are not in the dump/);
});

test('[4] a plain role is told what it cannot read, and each grant mends what it says', async (context) => {
  const database = await createDatabase(context);
  await runSql(
    database,
    `create schema hidden; create table hidden."Täble" (i serial); create table public.seen (i int);
     create table secret (i serial); select lo_create(4711), lo_create(4712)`,
  );
  const reader = await createRole(database);
  await runSql(database, `grant select on seen to ${reader.user}`);
  const found = await failures(reader);
  assert.equal(found.length, 4);
  assert.match(found[0] ?? '', /1 schemas .*: hidden \| GRANT USAGE ON SCHEMA hidden TO "reader_/);
  assert.match(
    found[1] ?? '',
    /2 tables .*: hidden\."Täble", public\.secret \| GRANT SELECT ON ALL TABLES IN SCHEMA hidden, public TO/,
  );
  assert.match(found[2] ?? '', /2 sequences .*: hidden\."Täble_i_seq", public\.secret_i_seq/);
  assert.match(found[3] ?? '', /2 large objects .*: 4711, 4712 \|/);

  await runSql(database, `grant pg_read_all_data to ${reader.user}`);
  const [left, ...none] = await failures(reader);
  assert.match(left ?? '', /2 large objects/);
  assert.deepEqual(none, []);
  await runSql(database, (left ?? '').split('superuser: ')[1] ?? '');
  assert.deepEqual(await failures(reader), []);
  await dumpInto(context, reader);
});

test('[4] row-level security is named for a plain reader, for pg_read_all_data and for a forced owner', async (context) => {
  const database = await createDatabase(context);
  const reader = await createRole(database);
  await runSql(
    database,
    `create table guarded (i int); alter table guarded enable row level security; grant select on guarded to ${reader.user};
     insert into guarded values (1);
     create table forced (i int); alter table forced owner to ${reader.user};
     alter table forced enable row level security; alter table forced force row level security;
     create table own (i int); alter table own owner to ${reader.user}; alter table own enable row level security`,
  );
  const check = async () => {
    const found = await failures(reader);
    assert.match(
      found[0] ?? '',
      /1 tables whose row-level security this role cannot bypass: public\.guarded \| .*ALTER ROLE "reader_\w+" BYPASSRLS/,
    );
    assert.match(found[1] ?? '', /forced on their owner, this role: public\.forced \| .*NO FORCE ROW LEVEL SECURITY/);
    assert.equal(found.length, 2);
  };
  await check();
  await runSql(database, `grant pg_read_all_data to ${reader.user}`);
  await check();
  // And should it come to a dump all the same, a subset is an error and no backup.
  await assertRejects(dumpInto(context, reader), 'DumpFailed', /row-level security|row security/);
  const dump = await openDump(context, reader);
  const inventory = dump.parts.find((part) => part.part === 'inventory')?.open(new AbortController().signal);
  assert.ok(inventory);
  void readOn(inventory);
  await assertRejects(inventory.finished, 'SourceRefused', /row-level security policy/);
  await dump.close();
  await runSql(database, `alter role ${reader.user} bypassrls`);
  assert.deepEqual(await failures(reader), []);
  assert.equal((await dumpInto(context, reader)).inventory.tables.find((table) => table.name === 'guarded')?.rows, '1');
});

test('[4] without a privilege a dump is refused, and says where help is', async (context) => {
  const database = await createDatabase(context);
  await runSql(database, 'create table secret (i int)');
  const reader = await createRole(database);
  await assertRejects(openDump(context, reader), 'SourceRefused', /permission denied for table secret/);
  assert.match((await failures({ ...reader, rolePasswords: true })).join(), /may not read password hashes/);
});

test('long lists are cut, with their count', async (context) => {
  const database = await createDatabase(context);
  await runSql(
    database,
    `do $$ begin for i in 101..140 loop execute format('create table t%s (i int)', i); end loop; end $$`,
  );
  const [found] = await failures(await createRole(database));
  assert.match(found ?? '', /40 tables .*: public\.t101, .*public\.t110 and 30 more \|/);
});

test('[4] a grant names the role that the login is switched to, and is whole or not given at all', async (context) => {
  const database = await createDatabase(context);
  const login = await createRole(database, 'superuser');
  await runSql(
    database,
    `create role other_${database.name}; alter role ${login.user} set role = 'other_${database.name}';
     do $$ begin for i in 1..21 loop execute format('create schema s%s; create table s%s.t ()', i, i); end loop; end $$`,
  );
  const found = (await failures(login)).join('\n');
  assert.match(found, /21 schemas that this role may not use/);
  assert.match(found, new RegExp(`GRANT pg_read_all_data TO "other_${database.name}"`));
  assert.doesNotMatch(found, /GRANT .* more TO/);
});

const clients = (version: string, major: number, minor: number) => ({
  directory: `/opt/${major}`,
  version,
  major,
  minor,
});

test('[1] a client older than the server is refused by name, of the others the nearest is taken', () => {
  const installed = [clients('17.11', 17, 11), clients('15.19', 15, 19), clients('15.2', 15, 2)];
  assert.equal(chooseClientPrograms(installed, { version: '14.2', major: 14 }).version, '15.19');
  assert.equal(chooseClientPrograms(installed, { version: '15.2', major: 15 }).version, '15.19');
  assert.equal(chooseClientPrograms(installed, { version: '16.2', major: 16 }).major, 17);
  assert.equal(chooseClientPrograms(installed, { version: '17.2', major: 17 }).major, 17);
  assert.throws(() => chooseClientPrograms(installed, { version: '18.1', major: 18 }), {
    type: 'ToolMissing',
    message: 'pg_dump 17.11 in /opt/17 is older than the server, PostgreSQL 18.1',
  });
  assert.throws(() => chooseClientPrograms([], { version: '18.1', major: 18 }), {
    type: 'ToolMissing',
    message: /is not installed/,
  });
  assert.match(securityWarning(clients('17.10', 17, 10))?.advice ?? '', /17\.11/);
  assert.equal(securityWarning(clients('17.11', 17, 11)), undefined);
});

test('programs are found in a directory of the configuration, and broken ones passed over', async (context) => {
  const [good, broken] = [await temporaryDirectory(context), await temporaryDirectory(context)];
  for (const [directory, script] of [
    [good, '#!/bin/sh\necho "pg_dump (PostgreSQL) 99.3 (Test)"\n'],
    [broken, '#!/bin/sh\nexit 127\n'],
  ] as const)
    for (const program of ['pg_dump', 'pg_dumpall']) {
      await writeFile(join(directory, program), script);
      await chmod(join(directory, program), 0o755);
    }
  const found = await findClientPrograms([broken, good]);
  assert.deepEqual(found[0], { directory: good, version: '99.3', major: 99, minor: 3 });
  assert.ok(found.every((programs) => programs.directory !== broken));
});

const messages = (...args: Parameters<typeof checkFloors>) =>
  checkFloors(...args).map(({ severity, message }) => `${severity} ${message}`);

test('[6] an empty, shrunken, too small or different database is seen', () => {
  const floors = { minimumBytes: 1000, maximumShrink: 50, allowEmpty: false };
  const now = { name: 'shop', systemIdentifier: '1', tables: 3 };
  assert.deepEqual(messages(now, floors), []);
  assert.match(messages({ ...now, tables: 0 }, floors).join(), /^failure database shop has no table/);
  assert.deepEqual(messages({ ...now, tables: 0 }, { ...floors, allowEmpty: true }), []);
  assert.match(
    messages({ ...now, dumpBytes: 999 }, floors).join(),
    /^failure .* 999 bytes; floors.minimumBytes is 1000/,
  );
  const previous = { name: 'shop', systemIdentifier: '1', dumpBytes: 4000 };
  assert.deepEqual(messages({ ...now, dumpBytes: 2000 }, floors, previous), []);
  assert.match(messages({ ...now, dumpBytes: 1999 }, floors, previous).join(), /^failure .* shrank from 4000 to 1999/);
  assert.match(
    messages({ ...now, systemIdentifier: '2' }, floors, previous).join(),
    /^warning the server is another cluster/,
  );
  assert.match(messages({ ...now, name: 'shop2' }, floors, previous).join(), /^warning the database is shop2/);
});

test('what a database has in its search path is never run by a session of a backup', async (context) => {
  const database = await createDatabase(context);
  await runSql(
    database,
    `create schema evil; create function evil.set_config(text, text, boolean) returns text language plpgsql as $$ begin raise 'run by %', current_user; end $$;
     alter database ${database.name} set search_path = evil, pg_catalog`,
  );
  const { findings } = await inspectDatabase(accessTo(database));
  assert.deepEqual(
    findings.filter(({ severity }) => severity === 'failure'),
    [],
  );
});
