import assert from 'node:assert/strict';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import type { SweepResult } from '../../core/sweep/run.ts';
import { createApplication, type Application, type RunningWorker } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { assertInputRefused } from '../support/refusedInput.ts';
import { haltDumps, until, type HaltedProcesses } from '../support/processes.ts';
import { startS3Proxy, type S3Proxy } from '../support/s3Proxy.ts';
import { addBulkyTable, fillSmallShop } from '../support/smallShop.ts';

/** Sweeps beside real runs: a live one is never touched, and of a dead one nothing stays. */

const scope = fileScope();
/** A sweep waits ten seconds by itself, and machines may be busy. */
const PATIENCE = 120_000;
const SEGMENT = 5 * 2 ** 20;
let app: Application;
let worker: RunningWorker;
let proxy: S3Proxy;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  await addBulkyTable(app.database, 300_000);
  proxy = await startS3Proxy(scope);
  const { far } = app.settings.backends;
  assert.ok(far?.type === 's3');
  app.settings.backends['far'] = { ...far, endpoint: proxy.endpoint };
  await app.save();
  worker = await app.startWorker();
});

test('[13] a worker that starts sweeps what dead runs left in its spool, if it is old enough', async (t) => {
  const fresh = await createApplication(t);
  const [longDead, justDead] = ['20260101T020000Z-long00', '20260101T020000Z-just00'];
  for (const backup of [longDead, justDead]) {
    const attempt = join(fresh.spool, backup, 'attempt-0001');
    await mkdir(attempt, { recursive: true, mode: 0o700 });
    await writeFile(join(attempt, 'journal.jsonl'), '');
  }
  const longAgo = new Date('2026-01-01');
  for (const path of ['attempt-0001/journal.jsonl', 'attempt-0001', '']) {
    await utimes(join(fresh.spool, longDead, path), longAgo, longAgo);
  }
  const starting = await fresh.startWorker();
  const swept = async () => ((await readdir(fresh.spool)).includes(longDead) ? undefined : true);
  await until('the oldest to be swept', swept, PATIENCE);
  assert.deepEqual(await fresh.leftBehind(), [justDead]);
  await starting.close();
});

test('[13] [21] a live backup is not touched, however small the age: it ends verified', async (t) => {
  const running = app.backup('shop', '--kind', 'database');
  const dump = await haltedInTheMiddle();
  t.after(() => dump.signal('SIGCONT'));
  const first = await remains();
  assert.ok(first.spool.length === 1 && first.uploads.length > 0, JSON.stringify(first));
  const [backup = ''] = first.spool;

  // Until it is judged by the run that lives, and no longer by its age.
  const judged = await until(
    'the run to be asked for',
    async () => {
      const { code, result } = await sweep('--older-than', '0s');
      assert.equal(code, 0, JSON.stringify(result));
      assert.deepEqual(
        result.reports.flatMap(({ swept }) => swept),
        [],
      );
      const kept = result.reports.flatMap((report) => report.kept);
      return kept.length > 0 && kept.every(({ why }) => /^backup-shop-\S+ is under way/.test(why)) ? kept : undefined;
    },
    PATIENCE,
  );
  assert.ok(judged.every(({ folder }) => folder.includes(backup)));
  assert.ok(judged.length >= 2, 'in the spool and on a backend');
  // What was under way went on meanwhile: an upload may have become an object, and no more.
  const after = await remains();
  assert.deepEqual(after.spool, first.spool);
  for (const key of first.objects) assert.ok(after.objects.includes(key), key);
  // In a directory each upload has a folder of its own name, which goes when it is complete.
  const named = first.uploads.filter((key) => !key.startsWith('.holdfast/'));
  for (const key of named) assert.ok(after.uploads.includes(key) || after.objects.includes(key), key);
  assert.ok(
    after.uploads.some((key) => key.endsWith('/data')),
    'the large part on its way into the directory',
  );

  dump.signal('SIGCONT');
  const { code, document } = await running;
  assert.equal(code, 0, JSON.stringify(document));
  assert.equal(document.state, 'verified');
});

test('[13] [21] a terminated backup leaves spool, uploads and objects; a sweep takes them all', async () => {
  // The small parts get through and the large one does not: objects without a manifest stay behind too.
  proxy.fault = ({ operation }) => (operation === 'UploadPart' ? { kind: 'hang' } : undefined);
  const kept = (await remains()).objects;
  const command = app.start('backup', '--no-wait', '--json', 'shop', '--backend', 'far');
  const { workflowId } = JSON.parse((await command.ended).stdout) as { workflowId: string };
  await until(
    'objects and uploads of it',
    async () => {
      const { objects, uploads } = await remains();
      return objects.length > kept.length && uploads.length > 0 ? true : undefined;
    },
    PATIENCE,
  );
  await (await app.temporal()).workflow.getHandle(workflowId).terminate('to see what it leaves');
  proxy.fault = () => undefined;
  const left = await remains();
  assert.equal(left.spool.length, 1);

  const dry = await sweep('--older-than', '0s', '--dry-run');
  assert.equal(dry.code, 0);
  assert.deepEqual((await remains()).spool, left.spool);
  const young = await sweep();
  assert.deepEqual(
    young.result.reports.flatMap(({ swept }) => swept),
    [],
    'not older than a day',
  );

  const swept = new Set<string>();
  await until(
    'nothing of it to be left',
    async () => {
      const { code, result } = await sweep('--older-than', '0s');
      assert.equal(code, 0, JSON.stringify(result));
      for (const { place, swept: list } of result.reports)
        for (const { folder } of list) swept.add(`${place} ${folder}`);
      const { spool, uploads } = await remains();
      return spool.length + uploads.length === 0 ? true : undefined;
    },
    PATIENCE,
  );
  const [backup = ''] = left.spool;
  assert.ok(
    [...swept].some((entry) => entry.startsWith('spool on ') && entry.endsWith(backup)),
    [...swept].join('\n'),
  );
  assert.ok(swept.has(`backend far shop/manual/${backup}/`), [...swept].join('\n'));
  for (const store of Object.values(app.stores)) {
    assert.deepEqual(
      [...(await store.objects()).keys()].filter((key) => key.includes(backup)),
      [],
    );
    assert.deepEqual(await store.leftovers(), []);
  }
  assert.match(await worker.log(), /swept a remnant of a dead run/);
});

test('[19] a backend that cannot be swept makes the sweep degraded, and the others are swept', async () => {
  proxy.fault = ({ operation }) =>
    operation === 'ListMultipartUploads' ? { kind: 'answer', status: 403, code: 'AccessDenied' } : undefined;
  const { code, result } = await sweep();
  proxy.fault = () => undefined;
  assert.equal(code, 3);
  assert.equal(result.state, 'degraded');
  assert.deepEqual(
    result.reports.filter(({ problems }) => problems.length > 0).map(({ place }) => place),
    ['backend far'],
  );
  const shown = await app.holdfast('sweep', '--backend', 'local');
  assert.equal(shown.code, 0);
  assert.match(shown.stdout, /^Sweep of what dead runs left, older than 24h 0m: nothing was removed/);
});

test('what makes no sense is refused, on the command line and by hand', async () => {
  for (const args of [
    ['--backend', 'lokal'],
    ['--older-than', 'soon'],
    ['--older-than', '5'],
  ]) {
    const { code, stderr } = await app.holdfast('sweep', ...args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /^holdfast: hint: .+/m);
  }
  for (const input of ['all', { backends: ['lokal'] }, { olderThan: 'soon' }, { dry: true }]) {
    await assertInputRefused(app, 'sweep', [input], /A right input is \{"backends"/);
  }
});

async function sweep(...args: string[]) {
  const { code, document } = await app.ask('sweep', ...args);
  return { code, result: document as SweepResult };
}

async function remains() {
  const spool = (await readdir(app.spool)).filter((name) => name !== 'id');
  const stores = Object.values(app.stores);
  const uploads = (await Promise.all(stores.map((store) => store.leftovers()))).flat();
  const objects = (await Promise.all(stores.map(async (store) => [...(await store.objects()).keys()]))).flat();
  return { spool, uploads, objects };
}

function haltedInTheMiddle(): Promise<HaltedProcesses> {
  return haltDumps(
    worker,
    async () => (await app.spooledBytes()) > SEGMENT && (await app.stores.near.leftovers()).length > 0,
  );
}
