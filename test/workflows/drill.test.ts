import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { recentRestores } from '../../core/catalog/restores.ts';
import { findBackup, listVerifications } from '../../core/catalog/read.ts';
import type { DrillResult } from '../../core/drill/run.ts';
import { scratchDatabase } from '../../core/drill/scratch.ts';
import type { VerifyResult } from '../../core/verification/run.ts';
import type { ErrorReport } from '../../client/terminal.ts';
import { runSql } from '../core/postgres/support.ts';
import { maintenance, onServer } from '../core/restore/support.ts';
import { createApplication, type Application, type RunningWorker } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { haltRestores, until } from '../support/processes.ts';
import { stepsOf } from '../support/runs.ts';
import { assertInputRefused } from '../support/refusedInput.ts';
import { addBulkyTable, fillSmallShop } from '../support/smallShop.ts';
import { fileOf, flipBit } from '../support/storedFiles.ts';

/** Whole drills, through the command and as the Web UI starts them. */

type Answered = DrillResult & { readonly workflowId: string; readonly error?: ErrorReport };

const scope = fileScope();
let app: Application;
let worker: RunningWorker;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  const { shop } = app.settings.sources;
  assert.ok(shop);
  shop.checks = [{ name: 'has customers', sql: 'select count(*) > 0 from customers' }];
  await app.save();
  worker = await app.startWorker();
});

test('a random copy is restored, compared with its files, asked, and dropped; catalog, list and show know of it', async () => {
  const id = await backUp();
  const { code, result } = await drill('--backup', id);
  assert.equal(code, 0, JSON.stringify(result));
  assert.equal(result.outcome, 'passed');
  assert.deepEqual(
    result.parts.map(({ part, differenceCount }) => [part, differenceCount]),
    [
      ['database', 0],
      ['media', 0],
      ['config', 0],
    ],
  );
  assert.deepEqual(result.parts[0]?.checks, [{ name: 'has customers', passed: true }]);
  assert.ok(result.recovery !== undefined && result.recovery > 0 && result.recovery <= result.duration);
  await assertNothingLeft();
  const [record] = await app.useCatalog((catalog) => recentRestores(catalog, { source: 'shop', limit: 1 }));
  assert.equal(record?.workflowId, result.workflowId);
  assert.deepEqual([record.kind, record.outcome, record.recovery], ['drill', 'succeeded', result.recovery]);
  assert.deepEqual(record.parts, ['config', 'database', 'media']);
  const looks = await app.useCatalog((catalog) => listVerifications(catalog, id));
  assert.deepEqual(
    looks.filter(({ depth }) => depth === 'restored').map(({ backend, outcome }) => [backend, outcome]),
    [[result.backend, 'passed']],
  );
  assert.match((await app.holdfast('list')).stdout, new RegExp(`${id} .* ago +`));
  assert.match((await app.holdfast('show', id)).stdout, /drill +shop +\S+ +\w+ +succeeded/);
});

test('the trend shows every drill, and the next one is told how long it usually takes', async () => {
  await backUp();
  const first = await drill('--backup', 'latest', '--backend', 'near', '--no-files');
  const second = await drill('--backup', 'latest', '--backend', 'far', '--no-files');
  assert.equal(second.result.usual, first.result.recovery);
  assert.equal(second.result.past[0]?.recovery, first.result.recovery);
  assert.deepEqual(
    second.result.parts.map(({ part }) => part),
    ['database'],
  );
  const history = await app.holdfast('drill', 'shop', '--history');
  assert.match(history.stdout, /TIME TO RECOVER/);
  const shown = await app.ask('drill', 'shop', '--history');
  const { restores } = shown.document as { restores: { workflowId: string }[] };
  assert.deepEqual(
    restores.slice(0, 2).map(({ workflowId }) => workflowId),
    [second.result.workflowId, first.result.workflowId],
  );
});

test('a drill without files says nothing of the copy as a whole', async () => {
  const id = await backUp();
  assert.equal((await drill('--backup', id, '--no-files')).code, 0);
  const looks = await app.useCatalog((catalog) => listVerifications(catalog, id));
  assert.ok(looks.every(({ depth }) => depth !== 'restored'));
});

test('[8] a source whose dump cannot be restored fails its drill with the object named; the copy counts as before', async (t) => {
  await runSql(
    app.database,
    `create function inner_part(text) returns text language sql immutable as 'select lower($1)';
     create function outer_part(text) returns text language sql immutable as 'select inner_part($1)';
     create index customers_lower on customers (outer_part(name))`,
  );
  t.after(() => runSql(app.database, 'drop index customers_lower; drop function outer_part, inner_part'));
  const id = await backUp();
  const { code, result } = await drill('--backup', id, '--backend', 'local');
  assert.equal(code, 1);
  assert.equal(result.outcome, 'failed');
  assert.equal(result.error?.type, 'RestoreFailed');
  assert.match(result.error.message, /index public\.customers_lower cannot be restored/);
  // The files of the same copy were tried all the same.
  assert.deepEqual(
    result.parts.map(({ part }) => part),
    ['media', 'config'],
  );
  await assertNothingLeft();
  const backup = await app.useCatalog((catalog) => findBackup(catalog, id));
  assert.equal(backup.state, 'verified');
  assert.equal(backup.restoredAt, undefined);
  const looks = await app.useCatalog((catalog) => listVerifications(catalog, id));
  assert.match(looks.find(({ depth }) => depth === 'restored')?.message ?? '', /customers_lower/);
});

test('[7] what came back differently fails the drill with the object named, and so does a check', async (t) => {
  await runSql(app.database, `create extension pg_trgm version '1.5'; create table kept as select * from customers`);
  await runSql(app.database, 'delete from customers');
  t.after(() =>
    runSql(app.database, 'drop extension pg_trgm; insert into customers select * from kept; drop table kept'),
  );
  const id = await backUp();
  const { code, result } = await drill('--backup', id, '--no-files');
  assert.equal(code, 1);
  assert.match(result.error?.message ?? '', /version of extension pg_trgm: 1\.6 instead of 1\.5/);
  assert.match(result.error?.message ?? '', /the check "has customers" found false/);
  assert.ok(result.error?.advice);
  const [record] = await app.useCatalog((catalog) => recentRestores(catalog, { source: 'shop', limit: 1 }));
  assert.deepEqual([record?.outcome, record?.differenceCount], ['failed', 1]);
});

test('[16] a damaged copy fails the drill by object and backend, is noted as damaged, and healed', async () => {
  for (const [part, object] of [
    ['database', 'database.dump.zst.enc'],
    ['media', 'media.tar.zst.enc'],
  ] as const) {
    const id = await backUp();
    await flipBit(fileOf(app, 'local', id, object));
    const reported = await drill('--backup', id, '--backend', 'local', '--no-heal');
    assert.equal(reported.code, 1);
    assert.equal(reported.result.error?.type, 'ObjectDamaged');
    assert.match(reported.result.error.message, new RegExp(`${id} from local failed: Part ${part} .* is damaged`));
    const copyOnLocal = async () => {
      const backup = await app.useCatalog((catalog) => findBackup(catalog, id));
      return backup.copies.find(({ backend }) => backend === 'local')?.state;
    };
    assert.equal(await copyOnLocal(), 'damaged');
    await assertNothingLeft();
    const { result } = await drill('--backup', id, '--backend', 'local');
    assert.ok(result.heal);
    await until('the healed copy', async () => ((await copyOnLocal()) === 'verified' ? true : undefined));
    assert.equal((await drill('--backup', id, '--backend', 'local')).code, 0);
  }
});

test('verify to the depth restored drills every copy, and says which one failed', async () => {
  const id = await backUp();
  const good = await verify(id);
  assert.equal(good.code, 0, JSON.stringify(good.result));
  assert.deepEqual(
    good.result.copies.map(({ backend, depth, outcome }) => [backend, depth, outcome]),
    ['far', 'local', 'near'].map((backend) => [backend, 'restored', 'passed']),
  );
  await flipBit(fileOf(app, 'near', id, 'database.dump.zst.enc'));
  const bad = await verify(id, '--no-heal');
  assert.equal(bad.code, 1);
  assert.deepEqual(
    bad.result.copies.map(({ backend, outcome }) => [backend, outcome]),
    [
      ['far', 'passed'],
      ['local', 'passed'],
      ['near', 'damaged'],
    ],
  );
  assert.match(bad.result.copies[2]?.problems.join() ?? '', /near: Part database .* is damaged/);
  const looks = await app.useCatalog((catalog) => listVerifications(catalog, id));
  assert.equal(looks.filter(({ depth }) => depth === 'restored').length, 6);
  await assertNothingLeft();
});

test('a backup runs beside a drill, a second drill of the source does not; a cancelled one leaves nothing', async () => {
  await addBulkyTable(app.database, 50_000);
  await backUp();
  const client = await app.temporal();
  const begun = await app.ask('drill', 'shop', '--backup', 'latest', '--no-wait');
  const { workflowId } = begun.document as { workflowId: string };
  const restores = await haltRestores(worker);
  await backUp();
  const refused = await app.ask('drill', 'shop', '--when-busy', 'refuse');
  assert.equal(refused.code, 4, JSON.stringify(refused.document));
  assert.match(JSON.stringify(refused.document), new RegExp(`busy: the drill ${workflowId}`));
  await client.workflow.getHandle(workflowId).cancel();
  restores.signal('SIGCONT');
  await assert.rejects(client.workflow.getHandle(workflowId).result());
  await assertNothingLeft();
  const [record] = await app.useCatalog((catalog) => recentRestores(catalog, { source: 'shop', limit: 1 }));
  assert.deepEqual([record?.workflowId, record?.outcome], [workflowId, 'aborted']);
});

test('a name that is wrong is refused with exit code 2, and typed by hand with InvalidInput', async () => {
  const earlier = await app.useCatalog((catalog) => recentRestores(catalog, { source: 'shop', limit: 50 }));
  for (const args of [
    ['shopp'],
    ['shop', '--backend', 'lokal'],
    ['shop', '--backup', '20200101T000000Z-nosuch'],
    ['shop', '--seed', 'x'],
    ['shopp', '--history'],
  ]) {
    const { code, stderr } = await app.holdfast('drill', ...args);
    assert.equal(code, 2, stderr);
  }
  for (const args of [[], [{ sauce: 'shop' }], [{ source: 'shopp' }], [{ source: 'shop', backend: 'lokal' }]]) {
    await assertInputRefused(app, 'drill', args, /A right input is \{"source"/);
  }
  const after = await app.useCatalog((catalog) => recentRestores(catalog, { source: 'shop', limit: 50 }));
  assert.equal(after.length, earlier.length);
});

test('without a server for drills nothing is begun; with one of its own, that one is used', async (t) => {
  const { shop } = app.settings.sources;
  const { database } = shop ?? {};
  assert.ok(shop && database);
  const role = `drills_${database.name}`;
  await runSql(app.database, `create role ${role} superuser login password 'drill'`);
  t.after(() => runSql(app.database, `drop role ${role}`));
  const id = await backUp();
  await worker.close();
  shop.drill = { onSourceServer: false };
  await app.save();
  worker = await app.startWorker();
  const without = await drill('--backup', id);
  assert.equal(without.code, 2, JSON.stringify(without.result));
  assert.match(without.result.error?.message ?? '', /No server is named for drills of shop/);
  assert.deepEqual(without.result.leftBehind, []);
  await worker.close();
  const { host, port } = database;
  const directory = join(app.home, 'drills');
  await mkdir(directory);
  const server = { host, port, user: role, password: await app.writeSecret('drill-password', 'drill') };
  shop.drill = { onSourceServer: false, directory, server };
  await app.save();
  worker = await app.startWorker();
  const seen = until('a scratch database of that role', async () => {
    const { name } = scratchOf(app);
    const owned = await onServer(`select from pg_database where datname = '${name}' and datdba = '${role}'::regrole`);
    return owned.length > 0 ? true : undefined;
  });
  const [{ code, result }] = await Promise.all([drill('--backup', id, '--no-owner'), seen]);
  assert.equal(code, 0, JSON.stringify(result));
  assert.deepEqual(await readdir(directory), []);
  await assertNothingLeft();
});

test('a server for drills that cannot be reached fails the drill at once: nothing was made, nothing is waited for', async () => {
  const { shop } = app.settings.sources;
  assert.ok(shop);
  const id = await backUp();
  await worker.close();
  const configured = shop.drill;
  shop.drill = { onSourceServer: false, server: { host: '127.0.0.1', port: 1, user: 'nobody' } };
  await app.save();
  worker = await app.startWorker();
  try {
    const { code, result } = await drill('--backup', id);
    assert.equal(code, 1, JSON.stringify(result));
    assert.equal(result.problem?.type, 'SourceUnreachable');
    assert.deepEqual(result.leftBehind, []);
    const steps = await stepsOf(app, result.workflowId);
    const names = steps.map(({ name }) => name);
    assert.ok(!names.includes('removeDrillDatabase') && names.includes('drillTree'), names.join(' '));
  } finally {
    await worker.close();
    shop.drill = configured;
    await app.save();
    worker = await app.startWorker();
  }
});

async function backUp(): Promise<string> {
  const { code, document } = await app.backup('shop');
  assert.equal(code, 0, JSON.stringify(document));
  return document.id;
}

async function drill(...args: string[]) {
  const { code, document } = await app.ask('drill', 'shop', ...args);
  return { code, result: document as Answered };
}

async function verify(id: string, ...args: string[]) {
  const { code, document } = await app.ask('verify', id, '--depth', 'restored', ...args);
  return { code, result: document as VerifyResult };
}

function scratchOf({ settings, database }: Application) {
  return scratchDatabase({ source: 'shop', taskQueue: settings.temporal.taskQueue, database }, maintenance());
}

/** Neither databases nor directories. */
async function assertNothingLeft(): Promise<void> {
  const { name, mark } = scratchOf(app);
  const newborn = createHash('sha256').update(mark).digest('hex').slice(0, 16);
  const databases = await onServer(
    `select datname from pg_database where datname = '${name}' or datname ~ '^holdfast_new_${newborn}'`,
  );
  assert.deepEqual(databases, []);
  assert.deepEqual(
    (await readdir(app.home)).filter((entry) => entry.startsWith('holdfast-drill')),
    [],
  );
  assert.deepEqual(await app.leftBehind(), []);
}
