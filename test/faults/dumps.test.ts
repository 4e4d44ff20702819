import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { isRunning } from '../../core/process/runningProcess.ts';
import { createApplication, type Application, type RunningWorker } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { descendantsOf, haltDumps, until } from '../support/processes.ts';
import { attemptsOf, beginBackup } from '../support/runs.ts';
import { querySession } from '../support/session.ts';
import { assertRestores, strays } from '../support/soundness.ts';
import { addBulkyTable } from '../support/smallShop.ts';

/** What happens to the processes and sessions of a dump while it runs. */

const scope = fileScope();
let app: Application;
let worker: RunningWorker;

before(async () => {
  app = await createApplication(scope);
  const { shop } = app.settings.plans ?? {};
  assert.ok(shop);
  shop.stallTimeout = '2s';
  await app.save();
  await addBulkyTable(app.database, 100_000);
  worker = await app.startWorker();
});

const inTheMiddle = () => haltDumps(worker, async () => (await app.spooledBytes()) > 0);

test('[3] a dump that stops handing out bytes is ended and run again; the backup is verified', async (t) => {
  const backup = await beginBackup(app, 'shop', '--kind', 'database');
  const dump = await inTheMiddle();
  const result = await backup.ended;
  assert.equal(result.state, 'verified', JSON.stringify(result));
  assert.equal(await attemptsOf(app, backup.workflowId, 'dump'), 2);
  for (const pid of dump.pids) assert.equal(await isRunning(pid), false);
  await assertRestores(t, app, result.id);
});

test('[5] the session that holds the snapshot is ended: the dump starts over on a new one', async (t) => {
  const backup = await beginBackup(app, 'shop', '--kind', 'database');
  const dump = await inTheMiddle();
  const ended = await querySession(app.database, async (client) => {
    const { rowCount } = await client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name !~ '^pg_dump' and pid <> pg_backend_pid()`,
    );
    return rowCount ?? 0;
  });
  assert.ok(ended > 0);
  dump.signal('SIGCONT');
  const result = await backup.ended;
  assert.equal(result.state, 'verified', JSON.stringify(result));
  assert.equal(await attemptsOf(app, backup.workflowId, 'dump'), 2);
  await assertRestores(t, app, result.id);
});

test('[2] a dump that is killed at every try fails the backup with its reason, and nothing stays anywhere', async () => {
  const backup = await beginBackup(app, 'shop', '--kind', 'database');
  const over = new AbortController();
  const ended = backup.ended.finally(() => over.abort());
  const killing = (async () => {
    while (!over.signal.aborted) {
      for (const { pid, name } of await descendantsOf(worker.pid)) if (name === 'pg_dump') endByForce(pid);
      await pause(10);
    }
  })();
  const result = await ended;
  await killing;
  assert.equal(result.state, 'failed');
  assert.equal(result.problem?.type, 'DumpFailed', JSON.stringify(result.problem));
  await until('a clean place', async () => ((await strays(app)).length === 0 ? true : undefined));
  for (const store of Object.values(app.stores)) {
    assert.deepEqual(
      (await store.keys()).filter((key) => key.includes(result.id)),
      [],
    );
  }
});

function endByForce(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}
