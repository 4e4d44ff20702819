import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { inspect } from 'node:util';
import { isHoldfastError, HoldfastError } from '../../../../core/errors.ts';
import type { ClientPrograms } from '../../../../core/postgres/clients.ts';
import { applyProperties } from '../../../../core/restore/database/databaseProperties.ts';
import { reconcile } from '../../../../core/restore/reconcile/reconcile.ts';
import { createTarget, dropLeftOvers, dropTarget } from '../../../../core/restore/database/targetDatabase.ts';
import { newAttempt } from '../../../../core/restore/database/targetMark.ts';
import { temporaryDirectory } from '../../../support/directories.ts';
import { createDatabase, testPostgres, type TestDatabase } from '../../../support/servers.ts';
import { accessTo, dumpInto, fixtureSql, openSession, runSql } from '../../postgres/support.ts';
import { storeBackup } from '../../repository/storedBackup.ts';
import { newAesKey } from '../../seal/sealing.ts';
import { backUp, databasesLike, maintenance, newTarget, onServer, restore, type StoredDatabase } from '../support.ts';

async function brokenSource(context: TestContext, sql: string) {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await runSql(source, sql);
  return { target, backup: await backUp(context, source) };
}

/** Asserts that a restore fails with an error that says all of this, and that nothing of it stays. */
async function assertFails(context: TestContext, sql: string, ...patterns: RegExp[]): Promise<void> {
  const { target, backup } = await brokenSource(context, sql);
  const before = await leftInTemporaryDirectory();
  await assert.rejects(restore(backup, target), (error) => {
    assert.ok(error instanceof HoldfastError);
    assert.equal(error.type, 'RestoreFailed', error.message);
    for (const pattern of patterns) assert.match(error.message, pattern);
    assert.doesNotMatch(inspect(error), /secret/);
    assert.ok(error.advice);
    return true;
  });
  assert.deepEqual(await databasesLike(target.name), []);
  assert.deepEqual(await leftInTemporaryDirectory(), before);
}

/** What this process has there; other tests run beside. */
async function leftInTemporaryDirectory(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith('holdfast-') && name.includes(`-${process.pid}-`));
}

test('[8] an index with an unqualified function fails the restore, by its name', (context) =>
  assertFails(
    context,
    `create schema app; create function inner_part(text) returns text language sql immutable as 'select lower($1)';
     create function outer_part(text) returns text language sql immutable as 'select inner_part($1)';
     create table app.people (name text); insert into app.people values ('Ann'); create index people_lower on app.people (outer_part(name))`,
    /index app\.people_lower cannot be restored: function inner_part\(text\) does not exist/,
    /outer_part/,
  ));

test('[8] a CHECK with an unqualified function fails the restore, by its table', (context) =>
  assertFails(
    context,
    `create function allowed() returns text[] language sql immutable as $$ select array['a'] $$;
     create function is_allowed(text) returns bool language plpgsql as $$ begin return $1 = any (allowed()); end $$;
     create table letters (letter text check (is_allowed(letter))); insert into letters values ('a')`,
    /rows of table public\.letters cannot be restored: function allowed\(\) does not exist/,
    /COPY letters, line 1|is_allowed/,
  ));

test('[8] a materialized view with an unqualified function fails the restore, by its name', (context) =>
  assertFails(
    context,
    `create function inner_part() returns int language sql as 'select 1';
     create function outer_part() returns int language plpgsql as 'begin return inner_part(); end';
     create materialized view totals as select outer_part() as total`,
    /materialized view data public\.totals cannot be restored: function inner_part\(\) does not exist/,
  ));

test('[8] duplicates under a broken unique index fail the restore, by its name and without the rows', (context) =>
  assertFails(
    context,
    `create table users (email text); create unique index users_email on users (email);
     insert into users values ('secret@example.org');
     update pg_index set indisready = false, indisvalid = false where indexrelid = 'users_email'::regclass;
     insert into users values ('secret@example.org');
     update pg_index set indisready = true, indisvalid = true where indexrelid = 'users_email'::regclass`,
    /index public\.users_email cannot be restored: could not create unique index "users_email" \(key \(email\)\)/,
  ));

test('[8] bytes that are no text in the encoding of the database fail the restore, by their table', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  // As an older server or a failing disk leaves them: a dump hands out what stands in the table, unchecked.
  await runSql(source, `create table notes (note text); insert into notes select 'plain'`);
  const backup = await backUp(context, source);
  const damaged: StoredDatabase = await withOtherDump(context, source, backup, (bytes) => {
    bytes[bytes.indexOf('plain\n') + 2] = 0xff;
    return bytes;
  });
  await assert.rejects(restore(damaged, target), (error) => {
    assert.ok(error instanceof HoldfastError);
    assert.equal(error.type, 'RestoreFailed');
    assert.match(
      error.message,
      /rows of table public\.notes cannot be restored: invalid byte sequence for encoding "UTF8"/,
    );
    assert.match(error.message, /COPY notes, line 1/);
    return true;
  });
  assert.deepEqual(await databasesLike(target.name), []);
});

/** The same backup with its dump changed before it was sealed. */
async function withOtherDump(
  context: TestContext,
  source: TestDatabase,
  backup: StoredDatabase,
  change: (bytes: Buffer) => Buffer,
): Promise<StoredDatabase> {
  const { directory, parts } = await dumpInto(context, accessTo(source));
  const plain = await Promise.all(
    parts.map(async (part) => {
      const read = await readFile(join(directory, part));
      const bytes = part === 'database' ? change(read) : read;
      const format = part === 'inventory' ? 'json' : part === 'globals' ? 'sql' : 'pg_dump-custom';
      return { part, format, bytes } as const;
    }),
  );
  const manifest = await storeBackup(backup.backends, backup.keys, plain, { id: '20261121T020000Z-7f3k9q' });
  return { ...backup, manifest };
}

test('[16] damage behind the last byte that pg_restore wants to see is found too', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await runSql(source, 'create table t (v int); insert into t values (1)');
  const backup = await backUp(context, source);
  const longer = await withOtherDump(context, source, backup, (bytes) => Buffer.concat([bytes, randomBytes(2 ** 25)]));
  await restore(longer, target);
  await onServer(`drop database ${target.name}`);
  await corrupt(longer, 0, 'database.dump.zst.enc', flipped(5));
  await assert.rejects(restore(longer, target), (error) => isHoldfastError(error, 'ObjectDamaged'));
  assert.deepEqual(await databasesLike(target.name), []);
});

test('[7] a role that is missing fails the restore, unless owners and privileges are left out', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  const role = `gone_${source.name}`;
  await runSql(
    source,
    `create role ${role}; create table t (v int); alter table t owner to ${role}; grant select on t to ${role};
     alter role ${role} in database ${source.name} set work_mem = '5MB'; grant connect on database ${source.name} to ${role}`,
  );
  const backup = await backUp(context, source);
  await runSql(
    source,
    `alter role ${role} in database ${source.name} reset all; reassign owned by ${role} to postgres; drop owned by ${role}`,
  );
  await onServer(`drop role ${role}`);
  await assert.rejects(
    restore(backup, target),
    (error) => isHoldfastError(error, 'RestoreFailed') && error.message.includes(`role "${role}" does not exist`),
  );
  const restored = await restore(backup, target, { noOwner: true, noPrivileges: true });
  assert.match(restored.warnings.join(), /1 settings of single roles/);
  const compare = (noOwner: boolean) =>
    reconcile({ database: accessTo(target), expected: backup.inventory, noOwner, noPrivileges: noOwner });
  assert.deepEqual((await compare(true)).differences, []);
  const strict = (await compare(false)).differences.map(({ kind, object, what }) => `${kind} ${object} ${what}`);
  assert.ok(strict.includes(`role ${role} use`), strict.join('\n'));
});

test('[16] a copy found bad in the middle is passed over, and the next one restored', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await runSql(source, await fixtureSql());
  const backup = await backUp(context, source, { copies: 3, dump: { jobs: 2 } });
  await corrupt(backup, 0, 'database.dump.zst.enc', flipped(5000));
  await corrupt(backup, 1, 'rows-1.dump.zst.enc', (bytes) => bytes.subarray(0, bytes.length - 1));
  const restored = await restore(backup, target);
  assert.equal(restored.backend, 'copy-3');
  assert.deepEqual(
    restored.passedOver.map(({ backend }) => backend),
    ['copy-1', 'copy-2'],
  );
  assert.match(restored.passedOver[0]?.reason ?? '', /database/);
  assert.match(restored.passedOver[1]?.reason ?? '', /rows-1/);
  const result = await reconcile({ database: accessTo(target), expected: backup.inventory });
  assert.deepEqual(result.differences, []);
});

test('[16] where no copy is good nothing stays, and every reason is told', async (context) => {
  const { target, backup } = await brokenSource(context, 'create table t (v int); insert into t values (1)');
  await corrupt(backup, 0, 'database.dump.zst.enc', flipped(5));
  await assert.rejects(restore(backup, target), (error) => isHoldfastError(error, 'ObjectDamaged'));
  const unconfigured = {
    backend: 'r2',
    open: () => Promise.reject(new HoldfastError('InvalidConfiguration', 'R2_SECRET is not set')),
  };
  await assert.rejects(
    restore(backup, target, { copies: [unconfigured, ...backup.copies] }),
    (error) =>
      isHoldfastError(error, 'ObjectDamaged') && /r2: R2_SECRET is not set; copy-1: .*database/.test(error.message),
  );
  assert.deepEqual(await databasesLike(target.name), []);
});

test('[23] a wrong key is no fault of a copy: it is named, and no database is made', async (context) => {
  const { target, backup } = await brokenSource(context, 'create table t (v int); insert into t values (1)');
  await assert.rejects(
    restore(backup, target, { openingKeys: [newAesKey()] }),
    (error) => isHoldfastError(error, 'KeyMissing') && error.message.includes(backup.keys.aes.id),
  );
  assert.deepEqual(await databasesLike(target.name), []);
});

test('[26] a database that exists is never touched, also not when the restore fails', async (context) => {
  const { backup } = await brokenSource(context, 'create table t (v int); insert into t values (1)');
  const existing = await createDatabase(context);
  await runSql(existing, `create table mine (v int); comment on database ${existing.name} is 'mine'`);
  await assert.rejects(restore(backup, existing), (error) => isHoldfastError(error, 'RefusedForSafety'));
  const own = { server: maintenance(), target: existing.name, mark: `test/${existing.name}` };
  await dropTarget({ ...own, attempt: newAttempt() });
  await dropLeftOvers(own);
  const session = await openSession(context, existing);
  assert.equal((await session.query(`select to_regclass('mine') is not null as there`)).rows[0].there, true);
});

test('[27] what a killed try left is removed by the next one of the same mark, and by no other', async (context) => {
  const { target, backup } = await brokenSource(context, 'create table t (v int); insert into t values (1)');
  // As kill -9 leaves it: the target is made and nobody comes back to it.
  const mark = 'restore/killed';
  const killed = { server: maintenance(), target: target.name, mark, attempt: newAttempt() };
  await createTarget(killed, backup.inventory.database);
  assert.deepEqual(await databasesLike(target.name), [target.name]);
  await assert.rejects(restore(backup, target, { mark: 'another' }), (error) =>
    isHoldfastError(error, 'RefusedForSafety'),
  );
  await restore(backup, target, { mark });
  const result = await reconcile({ database: accessTo(target), expected: backup.inventory });
  assert.deepEqual(result.differences, []);
});

test('[27] a try that was taken for dead and comes back neither drops nor finishes what its successor makes', async (context) => {
  const { target, backup } = await brokenSource(context, 'create table t (v int)');
  const nothing = { parameters: [], others: [], warnings: [] };
  const tries = [newAttempt(), newAttempt()].map((attempt) => ({
    server: maintenance(),
    target: target.name,
    mark: `test/${target.name}`,
    attempt,
  }));
  const [dead, successor] = tries;
  assert.ok(dead && successor);
  for (const each of tries) await createTarget(each, backup.inventory.database);
  await dropTarget(dead);
  assert.deepEqual(await databasesLike(target.name), [target.name]);
  await assert.rejects(applyProperties(dead, nothing), /taken over/);
  await applyProperties(successor, nothing);
  // Whole now, and nobody's leftover any more.
  for (const each of tries) await dropTarget(each);
  await dropLeftOvers(successor);
  assert.deepEqual(await databasesLike(target.name), [target.name]);
});

test('[27] cancelled in the middle, the restore drops its database and ends with the reason', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await runSql(source, await fixtureSql());
  const backup = await backUp(context, source);
  for (const phase of ['rows', 'indexes', 'statistics'] as const) {
    const stop = new AbortController();
    const reason = new Error(`stopped in ${phase}`);
    const running = restore(backup, target, {
      signal: stop.signal,
      onProgress: (progress) => {
        if (progress.phase === phase) setImmediate(() => stop.abort(reason));
      },
    });
    await assert.rejects(running, (error) => error === reason);
    assert.deepEqual(await databasesLike(target.name), [], phase);
  }
});

test('[2] a pg_restore that dies or is killed half way fails the restore', async (context) => {
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await runSql(source, await fixtureSql());
  const backup = await backUp(context, source);
  const dying = await pgRestoreLike(
    context,
    'case "$*" in *--section=data*) head -c 100000 >/dev/null; kill -9 $$;; esac',
  );
  await assert.rejects(restore(backup, target, { clients: dying }), /pg_restore was ended by SIGKILL/);
  const silent = await pgRestoreLike(context, 'case "$*" in *--section=data*) exit 3;; esac');
  await assert.rejects(restore(backup, target, { clients: silent }), /pg_restore failed with exit code 3/);
  assert.deepEqual(await databasesLike(target.name), []);
});

/** The real program behind a shell script that does something else first. */
async function pgRestoreLike(context: TestContext, first: string): Promise<ClientPrograms> {
  const directory = await temporaryDirectory(context);
  const real = join(testPostgres().binDirectory, 'pg_restore');
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'pg_restore'), `#!/bin/sh\n${first}\nexec ${real} "$@"\n`);
  await chmod(join(directory, 'pg_restore'), 0o755);
  return { directory, version: '15', major: 15, minor: 99 };
}

test('[27] a database of its own settings is dropped with its subscriptions, and one that cannot be dropped is told at once', async (context) => {
  const [publisher, target] = [await createDatabase(context), await newTarget(context)];
  const own = { server: maintenance(), target: target.name, mark: `test/${target.name}` };
  const form = { encoding: 'UTF8', collate: 'C', ctype: 'C', tablespace: 'pg_default' };
  await createTarget({ ...own, attempt: newAttempt() }, form);
  await runSql(
    target,
    `create subscription "read only" connection 'dbname=${publisher.name}' publication news with (connect = false, slot_name = 'kept')`,
  );
  const prepared = `prepared_${target.name}`;
  await runSql(target, `begin; create table t (); prepare transaction '${prepared}'`);
  await runSql(
    target,
    `create function refuse() returns event_trigger language plpgsql as $$ begin raise 'not here'; end $$;
     create event trigger refuse on ddl_command_start execute function refuse()`,
  );
  await onServer(`alter database ${target.name} set default_transaction_read_only = on`);
  await onServer(`alter database ${target.name} set role = pg_read_all_data`);
  await assert.rejects(dropLeftOvers(own), (error) => {
    assert.ok(isHoldfastError(error, 'RestoreFailed') && !error.retryable);
    assert.match(error.message, /cannot be dropped: .*prepared transactions/);
    assert.match(error.advice ?? '', new RegExp(`DROP DATABASE "${target.name}"`));
    return true;
  });
  await onServer(`alter database ${target.name} reset role`);
  await runSql(target, `rollback prepared '${prepared}'`);
  await dropLeftOvers(own);
  assert.deepEqual(await databasesLike(target.name), []);
});

test('a database that is dropped again leaves the publisher of its subscriptions alone', async (context) => {
  const [publisher, source] = [await createDatabase(context), await createDatabase(context)];
  const target = await newTarget(context);
  await runSql(
    source,
    `create subscription news connection 'dbname=${publisher.name}' publication news with (connect = false, slot_name = 'kept')`,
  );
  const backup = await backUp(context, source);
  assert.deepEqual(backup.inventory.notCarried, [{ kind: 'subscription state', name: 'news' }]);
  const stop = new AbortController();
  const running = restore(backup, target, {
    signal: stop.signal,
    onProgress: ({ phase }) => phase === 'statistics' && stop.abort(new Error('stopped')),
  });
  await assert.rejects(running, /stopped/);
  assert.deepEqual(await databasesLike(target.name), []);
  await runSql(source, 'alter subscription news set (slot_name = none); drop subscription news');
});

/** With one bit changed so far before the end. */
function flipped(fromEnd: number): (bytes: Buffer) => void {
  return (bytes) => bytes.writeUInt8(bytes.readUInt8(bytes.length - fromEnd) ^ 1, bytes.length - fromEnd);
}

async function corrupt(
  backup: StoredDatabase,
  copy: number,
  object: string,
  change: (bytes: Buffer) => unknown,
): Promise<void> {
  const { source, tier, id } = backup.manifest;
  const path = join(backup.roots[copy] ?? '', source, tier, id, object);
  const bytes = await readFile(path);
  const changed = change(bytes);
  await chmod(path, 0o600);
  await writeFile(path, changed instanceof Buffer ? changed : bytes);
}
