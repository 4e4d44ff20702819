import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Recovery } from '../../../client/recover/recover.ts';
import type { ErrorReport } from '../../../client/terminal.ts';
import { manifestKey } from '../../../core/repository/layout.ts';
import { locationOf } from '../../../core/repository/location.ts';
import { openLocalBackend } from '../../../core/storage/local.ts';
import { openS3Backend } from '../../../core/storage/s3.ts';
import { archiveTree, fingerprint, python, requiredTar, shell, treeConfiguration } from '../../core/files/trees.ts';
import { runProgram, runSql } from '../../core/postgres/support.ts';
import { onServer } from '../../core/restore/support.ts';
import { archiveDirectory, storeBackup, type PlainPart } from '../../core/repository/storedBackup.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { descendantsOf, until } from '../../support/processes.ts';
import { s3Settings } from '../../support/s3Settings.ts';
import { createBucket, testPostgres, type TestDatabase } from '../../support/servers.ts';
import { newIn, run, serverUrl, start, storedShop } from './recovering.ts';

async function countOf(database: TestDatabase, table: string): Promise<string> {
  return (await runProgram(database, 'psql', ['-Atc', `select count(*) from ${table}`])).trim();
}

test('[25] a database and a tree come back with a storage and a key alone', async (context) => {
  const { home, tree, target, storage, manifest } = await storedShop(context);
  const into = join(home, 'srv');
  const { code, stdout, stderr } = await run(
    home,
    [
      'latest',
      '--source',
      'shop',
      ...storage,
      '--json',
      '--database-url',
      serverUrl(),
      '--target',
      target.name,
      '--into',
      `media=${into}`,
    ],
    { PGPASSWORD: testPostgres().password },
  );
  assert.equal(code, 0, stderr + stdout);
  const recovery = JSON.parse(stdout) as Recovery & { state: string };
  assert.deepEqual([recovery.state, recovery.backup], ['restored', manifest.id]);
  assert.equal(recovery.database?.reconciliation.equal, true);
  assert.equal(recovery.database.reconciliation.compared.rows, '8000');
  assert.equal(recovery.trees[0]?.comparison.equal, true);
  assert.equal(await countOf(target, 'orders'), '5000');
  assert.equal(fingerprint(into), fingerprint(tree));
  const left = (await readdir(home)).filter((name) => name !== '.cache').toSorted();
  assert.deepEqual(left, ['ops.key', 'sign.pem', 'sign.pub.pem', 'srv']);
  const again = await run(home, [manifest.id, ...storage, '--into', `media=${into}`]);
  assert.equal(again.code, 4, again.stderr);
  assert.match(again.stderr, /srv exists already/);
});

test('[25] one table from a bucket, the password from libpq’s file, is told for people', async (context) => {
  const { home, target, plain, keys } = await storedShop(context);
  const settings = s3Settings(await createBucket(context));
  const backend = openS3Backend('bucket', settings);
  context.after(async () => backend.close());
  const manifest = await storeBackup([backend], keys, plain);
  const { host, port, user, password } = testPostgres();
  await writeFile(join(home, 'pgpass'), `*:${port}:*:${user}:${password.replaceAll(':', '\\:')}\n`, { mode: 0o600 });
  const { code, stdout, stderr } = await run(
    home,
    [
      manifest.id.slice(0, 12),
      '--s3-bucket',
      settings.bucket,
      '--s3-endpoint',
      settings.endpoint ?? '',
      '--s3-region',
      settings.region ?? '',
      '--key',
      join(home, 'ops.key'),
      '--target',
      target.name,
      '--table',
      'customers',
    ],
    {
      AWS_ACCESS_KEY_ID: settings.accessKeyId ?? '',
      AWS_SECRET_ACCESS_KEY: settings.secretAccessKey ?? '',
      PGHOST: host,
      PGPORT: String(port),
      PGUSER: user,
      PGPASSFILE: join(home, 'pgpass'),
    },
  );
  assert.equal(code, 0, stderr);
  assert.match(stdout, /Database \S+ from s3:\S+ in .*, equal to what was dumped: 1 tables?, 3000 rows/);
  assert.match(stderr, /SIGNATURES ARE NOT CHECKED/);
  assert.equal(await countOf(target, 'customers'), '3000');
});

test('[26] what stands in the way is refused before anything is made, with its exit code', async (context) => {
  const { home, copies, storage, target, database, manifest } = await storedShop(context);
  await symlink(copies, join(home, 'link'));
  const inStorage = await readdir(copies);
  const { password } = testPostgres();
  const before = await onServer('select datname from pg_database where datname !~ $$^test_$$ order by 1');
  const server = ['--database-url', serverUrl()];
  const into = ['--into', `media=${join(home, 'new')}`];
  const cases: (readonly [readonly string[], number, RegExp])[] = [
    [[manifest.id], 2, /not said what to restore/],
    [[manifest.id, ...into, '--create-roles'], 2, /--create-roles is for a database/],
    [[manifest.id, ...into, '--no-owner', '--no-privileges'], 2, /--no-owner and --no-privileges are for a database/],
    [[manifest.id, ...into, ...server, '--jobs', '3'], 2, /--jobs and --database-url are for a database/],
    [[manifest.id, '--files', 'media'], 2, /not said where the file trees are to stand/],
    [[manifest.id, '--into', `logs=${join(home, 'new')}`], 2, /no logs/],
    [[manifest.id, '--into', `database=${join(home, 'new')}`], 2, /no file tree/],
    [[manifest.id, '--into', `media=${join(home, 'a/b')}`], 2, /a does not exist/],
    [['20991231T235959Z-zzzzzz', ...into], 2, /20991231T235959Z-zzzzzz/],
    [[manifest.id, '--into', `media=${join(copies, 'new')}`], 4, /storage in \S+ and the tree in .* not apart/],
    [[manifest.id, '--into', `media=${join(home, 'link/new')}`], 4, /storage in \S+ and the tree in .* not apart/],
    [['latest', ...into], 2, /of which source/],
    [['latest', '--source', 'shop', '--before', '2001-01-01T00:00:00Z', ...into], 2, /before 2001/],
    [[manifest.id, '--source', 'other', ...into], 2, /of source shop, not other/],
    [[manifest.id, ...server, '--target', database.name, ...into], 4, /exists/],
    [[manifest.id, ...server, '--target', 'x'.repeat(64), ...into], 2, /63/],
    [[manifest.id, ...server, '--target', target.name, '--table', 'nothing'], 2, /nothing/],
    [[manifest.id, '--database-url', serverUrl().replace('@', ':secret@'), '--target', 'x'], 2, /holds a password/],
    [[manifest.id, '--database-url', 'db.example.com', '--target', 'x'], 2, /no address/],
  ];
  for (const [args, code, message] of cases) {
    const ended = await run(home, ['--json', ...args, ...storage], { PGPASSWORD: password });
    const { error } = JSON.parse(ended.stdout) as { error: ErrorReport };
    assert.match(`${error.message} ${error.advice}`, message, args.join(' '));
    assert.equal(ended.code, code, `${args.join(' ')}: ${error.type} ${error.message}`);
    assert.doesNotMatch(ended.stdout + ended.stderr, /secret/);
  }
  assert.deepEqual(await onServer('select datname from pg_database where datname !~ $$^test_$$ order by 1'), before);
  assert.deepEqual(
    await readdir(home).then((names) => names.filter((name) => !/^\.cache$|key|pem|link/.test(name))),
    [],
  );
  assert.deepEqual(await readdir(copies), inStorage);
});

test('[7] missing roles are named, and created where that is asked for', async (context) => {
  const role = `gone_${randomBytes(4).toString('hex')}`;
  const { home, storage, target, manifest, database } = await storedShop(
    context,
    `create role ${role}; create table t (v int); alter table t owner to ${role}`,
  );
  await runSql(database, `reassign owned by ${role} to postgres; drop owned by ${role}; drop role ${role}`);
  context.after(() => onServer(`drop role if exists ${role}`));
  const environment = { PGPASSWORD: testPostgres().password };
  const args = [manifest.id, ...storage, '--database-url', serverUrl(), '--target', target.name];
  const refused = await run(home, args, environment);
  assert.equal(refused.code, 4, refused.stderr);
  assert.match(refused.stderr, new RegExp(`missing: "?${role}`));
  assert.match(refused.stderr, new RegExp(`CREATE ROLE ${role}`));
  const done = await run(home, [...args, '--create-roles'], environment);
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, new RegExp(`Roles created.*${role}`));
});

test('[23] [24] a wrong key and a forged manifest restore nothing', async (context) => {
  const { home, copies, storage, manifest } = await storedShop(context);
  await writeFile(join(home, 'other.key'), randomBytes(32));
  const into = ['--into', `media=${join(home, 'new')}`];
  const wrong = await run(home, [manifest.id, '--local', copies, '--key', join(home, 'other.key'), ...into]);
  assert.equal(wrong.code, 1, wrong.stderr);
  assert.match(wrong.stderr, /aes256-/);
  const key = join(copies, manifestKey(locationOf(manifest)));
  await writeFile(key, (await readFile(key, 'utf8')).replace('"kind":"full"', '"kind":"logs"'));
  const forged = await run(home, [manifest.id, ...storage, ...into]);
  assert.equal(forged.code, 1, forged.stderr);
  assert.match(forged.stderr, /changed after/);
  assert.ok(!(await readdir(home)).includes('new'));
});

test('[24] the newest that cannot be trusted is told before the older one that is restored, with exit code 3', async (context) => {
  const { home, copies, keys, plain, storage, manifest } = await storedShop(context);
  const backend = openLocalBackend('storage', { type: 'local', path: copies });
  const newest = await storeBackup([backend], keys, plain, { id: '20261122T020000Z-7f3k9q' });
  const key = join(copies, manifestKey(locationOf(newest)));
  await writeFile(key, (await readFile(key, 'utf8')).replace('"kind":"full"', '"kind":"logs"'));
  const latest = ['latest', '--source', 'shop', ...storage, '--into'];
  const { code, stdout, stderr } = await run(home, [...latest, `media=${join(home, 'new')}`]);
  assert.equal(code, 3, stderr);
  const told = new RegExp(`BACKUP ${manifest.id} MAY NOT BE THE NEWEST: ${copies}: shop/\\S+${newest.id}`);
  assert.match(stdout.split('\n')[0] ?? '', told);
  assert.match(stderr, told);
  const json = await run(home, [...latest, `media=${join(home, 'other')}`, '--json']);
  const recovery = JSON.parse(json.stdout) as Recovery & { state: string };
  assert.deepEqual([json.code, recovery.state, recovery.newer.length], [3, 'degraded', 1]);
});

test('what of a tree is left out makes it degraded', async (context) => {
  const { home, keys, copies, storage } = await storedShop(context);
  const tree = await temporaryDirectory(context);
  await symlink('/etc/hostname', join(tree, 'outside'));
  const backend = openLocalBackend('storage', { type: 'local', path: copies });
  const parts: PlainPart[] = [{ part: 'media', format: 'tar', ...(await archiveDirectory(tree)) }];
  const { id } = await storeBackup([backend], keys, parts, { id: '20261122T020000Z-7f3k9q' });
  const { code, stdout } = await run(home, [id, ...storage, '--into', `media=${join(home, 'new')}`]);
  assert.equal(code, 3, stdout);
  assert.match(stdout, /outside/);
});

test('an extended attribute that cannot be kept here makes it degraded', async (context) => {
  const { home, keys, copies, storage } = await storedShop(context);
  const tree = await temporaryDirectory(context);
  python(tree, `import os\nopen('file', 'w').close()\nos.setxattr('file', 'user.kept', b'value')`);
  const backend = openLocalBackend('storage', { type: 'local', path: copies });
  const { archive, report } = await archiveTree(treeConfiguration(tree), { tar: await requiredTar() });
  const parts = [{ part: 'media', format: 'tar', bytes: archive, tree: structuredClone(report) as PlainPart['tree'] }];
  const { id } = await storeBackup([backend], keys, parts as PlainPart[], { id: '20261122T020000Z-7f3k9q' });
  const restore = (into: string, environment = {}) =>
    run(home, [id, ...storage, '--into', `media=${join(home, into)}`], environment);
  const { code, stdout, stderr } = await restore('without', { PATH: home });
  assert.equal(code, 3, stdout + stderr);
  assert.match(stdout, /NOT restored: 1 attributes, because no GNU tar .*: file: user\.kept/);
  const whole = await restore('with');
  assert.equal(whole.code, 0, whole.stdout);
});

/** An index whose function waits, but not where it was made. */
const WAITING = `create table t (v int); insert into t values (1);
  create function waits(int) returns int language plpgsql immutable as $$
  begin if current_database() <> 'SOURCE' then perform pg_catalog.pg_sleep(120); end if; return $1; end $$;
  create index on t (waits(v))`;

async function untilIndexed(name: string): Promise<void> {
  await until('the index that waits', async () => {
    const rows = await onServer(
      `select 1 from pg_stat_activity where starts_with(datname, '${name}') and query ~ 'CREATE INDEX'`,
    );
    return rows.length > 0 ? rows : undefined;
  });
}

test('[27] [38] Ctrl-C in the middle drops what is unfinished; no argument of any process holds the password', async (context) => {
  const { home, storage, target, manifest } = await storedShop(context, WAITING);
  const { password } = testPostgres();
  await writeFile(join(home, 'password'), `${password}\n`, { mode: 0o600 });
  const args = [manifest.id, ...storage, '--database-url', serverUrl(), '--target', target.name];
  const tree = ['--into', `media=${join(home, 'new')}`];
  const { child, ended } = start(home, [...args, ...tree, '--password-file', join(home, 'password')]);
  await untilIndexed(target.name);
  const programs = await descendantsOf(child.pid ?? 0);
  assert.ok(programs.some(({ name }) => name === 'pg_restore'));
  if (password.length > 3) for (const program of programs) assert.ok(!program.arguments.includes(password));
  child.kill('SIGINT');
  const { code, stderr } = await ended;
  assert.equal(code, 130, stderr);
  assert.deepEqual(await onServer(`select 1 from pg_database where starts_with(datname, '${target.name}')`), []);
  const left = (await readdir(home)).filter((name) => !/^\.cache$|key|pem|password/.test(name));
  assert.deepEqual(left, []);
});

/** Runs a program on a terminal of its own; when a line comes in, the terminal is closed. Exits with the program's code. */
const ON_TERMINAL = `
import fcntl, os, pty, select, struct, sys, termios
pid, master = pty.fork()
if pid == 0:
    os.execvpe(sys.argv[1], sys.argv[1:], os.environ)
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
while sys.stdin not in (ready := select.select([sys.stdin, master], [], [])[0]):
    os.read(master, 65536)
os.close(master)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))`;

test('[27] a terminal that is closed in the middle leaves nothing behind', async (context) => {
  const { home, storage, target, manifest } = await storedShop(context, WAITING);
  const args = [manifest.id, ...storage, '--database-url', serverUrl(), '--target', target.name];
  const tree = ['--into', `media=${join(home, 'new')}`];
  const bin = new URL('../../../client/bin.js', import.meta.url).pathname;
  const command = [process.execPath, bin, 'recover', 'restore', ...args, ...tree];
  const child = spawn('python3', ['-c', ON_TERMINAL, ...command], {
    env: {
      PATH: `${testPostgres().binDirectory}:/usr/bin:/bin`,
      HOME: home,
      TERM: 'xterm',
      PGPASSWORD: testPostgres().password,
    },
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const ended = once(child, 'close') as Promise<[number | null]>;
  await untilIndexed(target.name);
  child.stdin.end('\n');
  assert.deepEqual((await ended)[0], 130);
  assert.deepEqual(await onServer(`select 1 from pg_database where starts_with(datname, '${target.name}')`), []);
  assert.deepEqual(await newIn(home), []);
});

test('[27] what somebody made of the unfinished database of a killed one is never dropped', async (context) => {
  const { home, storage, target, manifest } = await storedShop(context, WAITING);
  const environment = { PGPASSWORD: testPostgres().password };
  const args = [manifest.id, ...storage, '--database-url', serverUrl(), '--target', target.name];
  const killed = start(home, args, environment);
  await untilIndexed(target.name);
  await killHard(killed.child);
  await killed.ended;
  const [row] = await onServer(`select datname, oid from pg_database where starts_with(datname, '${target.name}')`);
  const unfinished = String(row?.['datname']);
  await onServer(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${unfinished}'`);
  await onServer(`alter database "${unfinished}" rename to ${target.name}`);
  const next = await run(home, args, environment);
  assert.equal(next.code, 4, next.stderr);
  assert.match(next.stderr, /exists already/);
  assert.deepEqual(await onServer(`select oid from pg_database where datname = '${target.name}'`), [
    { oid: row?.['oid'] },
  ]);
});

test('[27] what a killed one left is replaced by the next', async (context) => {
  const { home, copies, keys, storage, target, tree, manifest } = await storedShop(context, WAITING);
  const environment = { PGPASSWORD: testPostgres().password };
  const args = [manifest.id, ...storage, '--database-url', serverUrl(), '--target', target.name];
  const files = ['--into', `media=${join(home, 'new')}`];
  const killed = start(home, [...args, ...files], environment);
  await untilIndexed(target.name);
  await killHard(killed.child);
  await killed.ended;
  await onServer(`select pg_terminate_backend(pid) from pg_stat_activity where starts_with(datname, '${target.name}')`);
  const hidden = (await readdir(home)).filter((name) => name.startsWith('.holdfast-restoring'));
  assert.equal(hidden.length, 1);
  // The next one takes another backup, of what the tree is now.
  shell(tree, 'echo more > more');
  const parts: PlainPart[] = [{ part: 'media', format: 'tar', ...(await archiveDirectory(tree)) }];
  const backend = openLocalBackend('storage', { type: 'local', path: copies });
  const { id } = await storeBackup([backend], keys, parts, { id: '20261122T020000Z-7f3k9q' });
  const next = await run(home, [id, ...storage, ...files]);
  assert.equal(next.code, 0, next.stderr);
  assert.equal(fingerprint(join(home, 'new')), fingerprint(tree));
  assert.deepEqual(
    (await readdir(home)).filter((name) => name.startsWith('.holdfast')),
    [],
  );
  const planned = await run(home, [...args, '--dry-run'], environment);
  assert.match(planned.stdout, new RegExp(`${target.name}_restoring_\\w+ is what a recovery that was killed left`));
  const database = start(home, args, environment);
  await untilIndexed(target.name);
  database.child.kill('SIGINT');
  assert.equal((await database.ended).code, 130);
});

test('[27] the same recovery at once is refused, and does not touch the one that came first', async (context) => {
  const { home, storage, target, manifest, tree } = await storedShop(context, WAITING);
  const environment = { PGPASSWORD: testPostgres().password };
  const into = join(home, 'new');
  const files = [manifest.id, ...storage, '--into', `media=${into}`];
  const database = [manifest.id, ...storage, '--database-url', serverUrl(), '--target', target.name];
  const first = start(home, [...files, ...database.slice(1)], environment);
  await untilIndexed(target.name);
  const again = await run(home, files);
  assert.equal(again.code, 4, again.stderr + again.stdout);
  assert.match(again.stderr, /Another recovery into \S+new is under way/);
  const elsewhere = database.map((each) => each.replace(/\/postgres$/, '/template1'));
  for (const args of [database, elsewhere]) {
    const twice = await run(home, args, environment);
    assert.equal(twice.code, 4, twice.stderr + twice.stdout);
    assert.match(twice.stderr, /Another recovery into database \S+ is under way/);
  }
  await onServer(
    `select pg_cancel_backend(pid) from pg_stat_activity where starts_with(datname, '${target.name}') and query ~ 'CREATE INDEX'`,
  );
  const { code, stderr } = await first.ended;
  assert.equal(code, 1, stderr);
  assert.match(stderr, /canceling statement/);
  const next = await run(home, files);
  assert.equal(next.code, 0, next.stderr);
  assert.equal(fingerprint(into), fingerprint(tree));
  assert.deepEqual(
    (await readdir(home)).filter((name) => name.startsWith('.holdfast')),
    [],
  );
});

async function killHard(child: ChildProcess): Promise<void> {
  const programs = await descendantsOf(child.pid ?? 0);
  child.kill('SIGKILL');
  for (const { pid } of programs) process.kill(pid, 'SIGKILL');
}
