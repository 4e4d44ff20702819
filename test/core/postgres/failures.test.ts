import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { connect } from '../../../core/postgres/access.ts';
import type { DatabaseDump } from '../../../core/postgres/dump.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { createDatabase, type TestDatabase } from '../../support/servers.ts';
import { accessTo, assertRejects, createRole, openDump, openSession, readOn, runSql, saveParts } from './support.ts';

const BIG = `create table big as select i, repeat(md5(i::text), 50) as v from generate_series(1, 30000) i`;

async function bigDatabase(context: TestContext): Promise<TestDatabase> {
  const database = await createDatabase(context);
  await runSql(database, BIG);
  return database;
}

function openPart(dump: DatabaseDump, name: string, signal = new AbortController().signal) {
  const part = dump.parts.find((candidate) => candidate.part === name);
  assert.ok(part, name);
  return part.open(signal);
}

const read = (pid: string, file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');

/** Command lines and environments of all processes that belong to a database of the test's own. */
async function processesOf(database: TestDatabase): Promise<{ pid: number; command: string; environment: string }[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const all = await Promise.all(
    pids.map(async (pid) => ({
      pid: Number(pid),
      command: await read(pid, 'cmdline'),
      environment: await read(pid, 'environ'),
    })),
  );
  return all.filter(({ environment }) => environment.includes(`PGDATABASE=${database.name}\0`));
}

test('[2] a dump whose backend is terminated while it copies fails, with what the server said', async (context) => {
  const database = await bigDatabase(context);
  const dump = await openDump(context, accessTo(database));
  const stream = openPart(dump, 'database');
  const session = await openSession(context, database);
  const { rowCount } = await session.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'COPY%'`,
  );
  assert.equal(rowCount, 1);
  void readOn(stream);
  await assertRejects(
    stream.finished,
    'DumpFailed',
    /pg_dump failed with exit code 1[^]*(terminating connection|server closed the connection)/,
  );
  await dump.close();
});

test('[2] a killed dump process fails its part', async (context) => {
  const database = await bigDatabase(context);
  const dump = await openDump(context, accessTo(database));
  const stream = openPart(dump, 'database');
  for (const { pid } of await processesOf(database)) process.kill(pid, 'SIGKILL');
  void readOn(stream);
  await assertRejects(stream.finished, 'DumpFailed', /was ended by SIGKILL/);
  await dump.close();
});

test('[3] a stopped dump process is ended by the progress timeout', async (context) => {
  const database = await bigDatabase(context);
  const dump = await openDump(context, accessTo(database), { stallTimeout: 1_000 });
  const stream = openPart(dump, 'database');
  for (const { pid } of await processesOf(database)) process.kill(pid, 'SIGSTOP');
  void readOn(stream);
  await assertRejects(stream.finished, 'Stalled', /handed out no byte for 1 s/);
  await dump.close();
  assert.deepEqual(await processesOf(database), []);
});

test('an abort ends every process and session, and no password file stays', async (context) => {
  const database = await bigDatabase(context);
  const directory = await temporaryDirectory(context);
  const stop = new AbortController();
  const dump = await openDump(context, accessTo(database), {
    temporaryDirectory: directory,
    signal: stop.signal,
    jobs: 2,
  });
  const stream = openPart(dump, 'database');
  stop.abort(new Error('enough'));
  await assert.rejects(stream.finished, /enough/);
  await dump.close();
  assert.deepEqual(await processesOf(database), []);
  assert.deepEqual(await readdir(directory), []);
  const session = await openSession(context, database);
  for (let left = 1, tries = 0; left > 0; tries += 1) {
    assert.ok(tries < 100, 'sessions stay');
    const { rows } = await session.query(
      `select count(*)::int as left from pg_stat_activity where datname = current_database() and application_name = 'holdfast'`,
    );
    left = (rows[0] as { left: number }).left;
  }
});

test('[38] the password is in no command line and no environment, and in its file only for this user', async (context) => {
  const database = await bigDatabase(context);
  const access = await createRole(database, 'superuser');
  const directory = await temporaryDirectory(context);
  const dump = await openDump(context, access, { temporaryDirectory: directory, jobs: 2 });
  const running = await processesOf(database);
  assert.ok(running.length > 0);
  for (const { command, environment } of running) {
    assert.doesNotMatch(command, /wörd|pa:ss/);
    assert.doesNotMatch(environment, /wörd|pa:ss|PGPASSWORD/);
    assert.match(environment, /PGAPPNAME=holdfast/);
  }
  const [inner] = await readdir(directory);
  assert.ok(inner);
  assert.equal((await stat(join(directory, inner))).mode & 0o777, 0o700);
  assert.equal((await stat(join(directory, inner, 'pgpass'))).mode & 0o777, 0o600);
  await saveParts(dump, await temporaryDirectory(context));
  await dump.close();
  assert.deepEqual(await readdir(directory), []);
});

test('[9] a wrong password, role or database is refused, an unreachable host may pass', async (context) => {
  const database = await createDatabase(context);
  const access = await createRole(database);
  const directory = await temporaryDirectory(context);
  const open = (changes: object) => openDump(context, { ...access, ...changes }, { temporaryDirectory: directory });
  await assertRejects(open({ password: 'wrong' }), 'SourceRefused', /password authentication failed/);
  await assertRejects(open({ password: undefined }), 'SourceRefused', /password/);
  await assertRejects(open({ user: 'nobody_here' }), 'SourceRefused', /nobody_here/);
  await assertRejects(open({ name: 'no_such' }), 'SourceRefused', /"no_such" does not exist/);
  await assertRejects(open({ host: 'no-such-host.invalid' }), 'SourceUnreachable', /no-such-host/);
  const closed = createServer();
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
  const { port } = closed.address() as { port: number };
  closed.close();
  await finishedServer(closed);
  await assertRejects(open({ host: '127.0.0.1', port }), 'SourceUnreachable', /ECONNREFUSED/);
  await assertRejects(open({ sslmode: 'require' }), 'SourceRefused', /does not support SSL/);
  assert.deepEqual(await readdir(directory), []);
});

function finishedServer(server: ReturnType<typeof createServer>): Promise<void> {
  return new Promise((resolve) => (server.listening ? server.once('close', resolve) : resolve()));
}

test('nothing in our environment makes up for a password that is not configured', async (context) => {
  const database = await createDatabase(context);
  const access = await createRole(database);
  process.env.PGPASSWORD = access.password ?? '';
  context.after(async () => void delete process.env.PGPASSWORD);
  await assertRejects(connect({ ...access, password: undefined }), 'SourceRefused', /password/);
});

test('a part that is not read to its end is not good', async (context) => {
  const database = await bigDatabase(context);
  const dump = await openDump(context, accessTo(database));
  const stop = new AbortController();
  const stream = openPart(dump, 'inventory', stop.signal);
  stop.abort(new Error('changed my mind'));
  await assert.rejects(stream.finished, /changed my mind/);
  const other = openPart(dump, 'globals');
  for await (const chunk of other.plaintext) {
    assert.ok(chunk.length > 0);
    break;
  }
  await assert.rejects(other.finished);
  await dump.close();
});
