import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { listBackups } from '../../core/catalog/read.ts';
import { runSql } from '../core/postgres/support.ts';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { until } from '../support/processes.ts';
import { assertInputRefused } from '../support/refusedInput.ts';
import { stepsOf } from '../support/runs.ts';
import { createBucket, createDatabase, type TestDatabase } from '../support/servers.ts';

/** Backups that cannot go well: what is said, with which exit code, and that nothing is left behind. */

const scope = fileScope();
const LITTLE_SQL = `create table customers as select i as id, md5(i::text) as name from generate_series(1, 5000) i`;
let app: Application;
let shrinking: TestDatabase;

before(async () => {
  app = await createApplication(scope);
  shrinking = await createDatabase(scope);
  const [empty, guarded] = [await createDatabase(scope), await createDatabase(scope)];
  await Promise.all([app.database, shrinking, guarded].map((database) => runSql(database, LITTLE_SQL)));
  const reader = `reader_${guarded.name}`;
  await runSql(guarded, `create role ${reader} login password 'reader'; create table secrets (id int)`);
  scope.after(() => runSql(guarded, `drop owned by ${reader}; drop role ${reader}`));
  await writeFile(join(app.trees.media, 'photo.jpg'), randomBytes(50_000));
  await writeFile(join(app.trees.config, 'settings.ini'), 'a=b\n');

  const { settings } = app;
  const { near } = settings.backends;
  assert.ok(near?.type === 's3' && settings.sources['shop']?.database);
  const { database } = settings.sources['shop'];
  Object.assign(settings.backends, {
    refused: {
      ...near,
      bucket: await createBucket(scope),
      secretAccessKey: await app.writeSecret('wrong-s3-secret', 'wrong'),
    },
    closed: { ...near, endpoint: 'http://127.0.0.1:1' },
    bucketless: { ...near, bucket: 'no-such-bucket' },
  });
  const at = (name: string) => ({ database: { ...database, name } });
  Object.assign(settings.sources, {
    locked: { database: { ...database, password: await app.writeSecret('wrong-password', 'wrong') } },
    away: { database: { ...database, host: '127.0.0.1', port: 1 } },
    nowhere: at('no_such_database'),
    hollow: at(empty.name),
    shrinking: at(shrinking.name),
    guarded: {
      database: { ...at(guarded.name).database, user: reader, password: await app.writeSecret('reader', 'reader') },
    },
    treeless: { files: { media: { path: join(app.home, 'not-mounted') } } },
    bare: { files: { media: { path: app.temporary, exclude: ['*'] } } },
  });
  const plan = {
    backends: ['local', 'near', 'far'],
    copies: { required: 2 },
    encryptTo: ['ops'],
    uploads: { retryFor: '10s' },
  };
  settings.plans = {
    ...settings.plans,
    ...Object.fromEntries(Object.keys(settings.sources).map((source) => [source, { ...plan, source }])),
  };
  await app.save();
  await app.startWorker();
});

describe('a backend that fails', { concurrency: 3 }, () => {
  const backends = { refused: /secret/i, closed: /127\.0\.0\.1:1/, bucketless: /no-such-bucket/ };
  for (const [backend, reason] of Object.entries(backends)) {
    test(`[19] leaves the backup degraded, and the other copies as they should be: ${backend}`, async () => {
      const { code, document } = await app.backup('shop', '--backend', 'local', 'far', backend);
      assert.equal(code, 3, JSON.stringify(document));
      assert.equal(document.state, 'degraded');
      assert.deepEqual(
        document.copies.map((copy) => [copy.backend, copy.state]),
        [
          ['local', 'verified'],
          ['far', 'verified'],
          [backend, 'failed'],
        ],
      );
      assert.equal(document.reasons.length, 1);
      assert.match(document.reasons[0] ?? '', new RegExp(`^No copy on ${backend}: `));
      assert.match(document.reasons[0] ?? '', reason);
      assert.deepEqual(await keysOf('local', document.id), await keysOf('far', document.id));
      assert.equal((await keysOf('local', document.id)).length, document.parts.length + 1);
      const [record] = (await cataloged('shop')).filter(({ id }) => id === document.id);
      assert.equal(record?.state, 'degraded');
      assert.equal(record.copies.find((copy) => copy.backend === backend)?.state, 'failed');
      const shown = await app.holdfast('show', document.id);
      assert.equal(shown.code, 0);
      assert.match(shown.stdout, new RegExp(`${backend} +failed`));
    });
  }

  test('fails the backup when too few copies remain, and keeps the one that is proven', async () => {
    const { code, document } = await app.backup('shop', '--backend', 'local', 'refused', 'bucketless');
    assert.equal(code, 1);
    assert.equal(document.error?.type, 'TooFewCopies');
    assert.match(document.error?.message ?? '', /Only 1 of the 2 .*refused: .*bucketless: .*kept on local/s);
    assert.ok(document.error?.advice);
    assert.equal((await keysOf('local', document.id)).length, document.parts.length + 1);
    const [record] = (await cataloged('shop')).filter(({ id }) => id === document.id);
    assert.equal(record?.state, 'failed');
    assert.equal(record.problem?.type, 'TooFewCopies');
    assert.equal(record.copies.find(({ backend }) => backend === 'local')?.state, 'verified');
    const verified = await app.holdfast('verify', document.id, '--json');
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  });

  test('fails the backup when no copy can be made, and nothing is left of it anywhere', async () => {
    const { code, document } = await app.backup('shop', '--backend', 'refused', 'bucketless');
    assert.equal(code, 1);
    assert.equal(document.error?.type, 'TooFewCopies');
    assert.match(document.error?.message ?? '', /Only 0 of the 2 .*refused: .*bucketless: /s);
    const [record] = (await cataloged('shop')).filter(({ id }) => id === document.id);
    assert.equal(record?.state, 'failed');
    assert.equal(record.manifest, undefined);
    const shown = await app.holdfast('show', document.id);
    assert.equal(shown.code, 0);
    assert.match(shown.stdout, /failed/);
  });
});

describe('a source that cannot be read as it should', { concurrency: 4 }, () => {
  const failures = {
    locked: { row: '[9]', type: 'SourceRefused', message: /password/ },
    away: { row: '[9]', type: 'SourceUnreachable', message: /127\.0\.0\.1:1/ },
    nowhere: { row: '[6]', type: 'SourceRefused', message: /no_such_database/ },
    hollow: { row: '[6]', type: 'FloorViolated', message: /table/ },
    guarded: { row: '[4]', type: 'SourceRefused', message: /secrets/ },
    treeless: { row: '[10]', type: 'FilesUnreadable', message: /not-mounted/ },
    bare: { row: '[10]', type: 'FloorViolated', message: /0 (regular )?files/ },
  };
  for (const [source, { row, type, message }] of Object.entries(failures)) {
    test(`${row} fails the backup with one clear message and uploads nothing: ${source}`, async () => {
      const { code, stdout, stderr } = await app.holdfast('backup', source);
      assert.equal(code, 1, stdout + stderr);
      assert.match(stdout, new RegExp(`^Backup \\S+ of ${source} .*: failed`));
      const errors = stderr.split('\n').filter((line) => line.startsWith('holdfast: error: '));
      assert.equal(errors.length, 1, stderr);
      assert.match(stderr, message);
      assert.match(stderr, /^holdfast: hint: /m);
      assert.doesNotMatch(stderr, /^ +at /m, 'no stack trace');
      for (const store of Object.values(app.stores)) {
        assert.deepEqual(
          [...(await store.objects()).keys()].filter((key) => key.startsWith(`${source}/`)),
          [],
        );
      }
      const [record, ...others] = await cataloged(source);
      assert.deepEqual(others, []);
      assert.equal(record?.state, 'failed');
      assert.equal(record.problem?.type, type);
      assert.match(record.problem.message, message);
      const listed = await app.holdfast('list', source);
      assert.match(listed.stdout, new RegExp(`${record.id}.*failed`));
    });
  }

  test('[6] a database that shrank fails the backup by its floor, unless that is accepted', async () => {
    const { document: first } = await app.backup('shrinking');
    assert.equal(first.state, 'verified');
    await runSql(shrinking, 'delete from customers where id > 500');
    const { code, document: second } = await app.backup('shrinking');
    assert.equal(code, 1);
    assert.equal(second.error?.type, 'FloorViolated');
    assert.match(second.error?.advice ?? '', /shrink/i);
    assert.deepEqual(await keysOf('local', second.id), []);
    const { code: accepted, document: third } = await app.backup('shrinking', '--accept-shrink');
    assert.equal(accepted, 0);
    assert.equal(third.state, 'verified');
  });
});

describe('what makes no sense', { concurrency: 3 }, () => {
  const commands = {
    source: ['backup', 'shpo'],
    plan: ['backup', 'shop', '--plan', 'shpo'],
    backend: ['backup', 'shop', '--backend', 'lokal'],
    'kind that the source lacks': ['backup', 'locked', '--kind', 'media'],
    'kind that does not exist': ['backup', 'shop', '--kind', 'everything'],
    "another source's plan": ['backup', 'shop', '--plan', 'locked'],
  };
  for (const [what, command] of Object.entries(commands)) {
    test(`is refused on the command line before anything starts: ${what}`, async () => {
      const { code, stdout, stderr } = await app.holdfast(...command);
      assert.equal(code, 2, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, /^holdfast: error: .+\nholdfast: hint: .+/m);
      assert.doesNotMatch(stderr, / runs: /);
    });
  }

  const example = /A right input is \{"source": "shop"/;
  const inputs: Record<string, { args: unknown[]; message: RegExp }> = {
    'no input': { args: [], message: example },
    'a string': { args: ['shop'], message: example },
    'a list': { args: [['shop']], message: example },
    'an unknown field': { args: [{ source: 'shop', plam: 'shop' }], message: /plam.*A right input is/ },
    'an unknown kind': { args: [{ source: 'shop', kind: 'all' }], message: /kind: .*"full".*A right input is/ },
    'no source': { args: [{ plan: 'shop' }], message: /source: .*A right input is/ },
    'a path for a source': { args: [{ source: '../shop' }], message: /source: .*A right input is/ },
    'no backend': { args: [{ source: 'shop', backends: [] }], message: /backends: .*A right input is/ },
    'an unknown source': { args: [{ source: 'shpo' }], message: /no source shpo .*It has: shop, .*A right input is/ },
    'an unknown plan': {
      args: [{ source: 'shop', plan: 'shpo' }],
      message: /no plan shpo.*It has: .*A right input is/,
    },
    'an unknown backend': {
      args: [{ source: 'shop', backends: ['lokal'] }],
      message: /no backend lokal.*local.*A right input is/,
    },
  };
  for (const [what, { args, message }] of Object.entries(inputs)) {
    test(`ends a run that was started by hand with InvalidInput: ${what}`, async () => {
      await assertInputRefused(app, 'backup', args, message);
    });
  }
});

test('a backup that is cancelled before its plan is known is listed as what it was asked to be', async () => {
  const { workflow } = await app.temporal();
  const workflowId = `backup-away-${randomUUID()}`;
  const request = { source: 'away', kind: 'database', tier: 'pre-restore' };
  const handle = await workflow.start('backup', {
    workflowId,
    taskQueue: app.settings.temporal.taskQueue,
    args: [request],
  });
  await until('the first step', async () =>
    (await stepsOf(app, workflowId)).some(({ name }) => name === 'preflight') ? true : undefined,
  );
  await handle.cancel();
  await assert.rejects(handle.result());
  const [listed] = await cataloged('away');
  assert.deepEqual([listed?.tier, listed?.kind], ['pre-restore', 'database']);
});

test('after all these failures nothing is in the spool or among the temporary files', async () => {
  assert.deepEqual(await app.leftBehind(), []);
  for (const store of Object.values(app.stores)) assert.deepEqual(await store.leftovers(), []);
});

async function keysOf(store: keyof Application['stores'], id: string): Promise<string[]> {
  return [...(await app.stores[store].objects()).keys()].filter((key) => key.includes(id));
}

function cataloged(source: string) {
  return app.useCatalog((catalog) => listBackups(catalog, { source }));
}
