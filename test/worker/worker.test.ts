import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePort } from '../../core/tools/freePort.ts';
import { isRunning } from '../../core/process/runningProcess.ts';
import { testServersFromEnvironment } from '../support/addresses.ts';
import { createApplication } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { descendantsOf, haltDumps, until } from '../support/processes.ts';
import { addBulkyTable, fillSmallShop } from '../support/smallShop.ts';

/** The worker's life: its start, its orderly end in the middle of work, and the server that it may bring along. */

const scope = fileScope();

test('[33] a worker told to stop in the middle of a dump ends in time with its children; the next one finishes the run', async (t) => {
  const app = await createApplication(scope);
  await addBulkyTable(app.database, 60_000);
  const first = await app.startWorker();
  const running = app.backup('shop', '--kind', 'database');
  const { pids } = await haltDumps(first, async () => (await app.spooledBytes()) > 0);
  const begun = performance.now();
  process.kill(first.pid, 'SIGTERM');
  await until('the end of the worker', async () => ((await isRunning(first.pid)) ? undefined : true), 40_000);
  const seconds = (performance.now() - begun) / 1_000;
  assert.ok(seconds < 30, `${seconds} s`);
  for (const pid of pids) assert.equal(await isRunning(pid), false);
  assert.match(await first.log(), /The worker has ended/);

  const startedAt = performance.now();
  await app.startWorker();
  t.diagnostic(`worker ready in ${Math.round(performance.now() - startedAt)} ms`);
  const { code, document } = await running;
  assert.equal(code, 0, JSON.stringify(document));
  assert.equal(document.state, 'verified');
  assert.equal((await app.holdfast('verify', document.id)).code, 0);
  assert.deepEqual(await app.leftBehind(), []);
});

test('worker --embedded brings a Temporal server with its Web UI, serves runs, and takes the server along when it ends', async () => {
  const app = await createApplication(scope);
  await fillSmallShop(app);
  app.settings.temporal.address = `127.0.0.1:${await freePort()}`;
  delete app.settings.temporal.uiUrl;
  await app.save();
  const { programs } = testServersFromEnvironment();
  const worker = await app.startWorker({
    flags: ['--embedded'],
    environment: { TEMPORAL_CLI_PATH: programs.temporal },
  });
  const { code, stderr } = await app.backup('shop', '--kind', 'database');
  assert.equal(code, 0, stderr);
  const [, webUi = ''] = /Web UI at (http:\S+?)\. /.exec(await worker.log()) ?? [];
  assert.equal((await fetch(webUi)).status, 200);
  const [server] = (await descendantsOf(worker.pid)).filter(({ name }) => name.startsWith('temporal'));
  assert.ok(server);
  process.kill(worker.pid, 'SIGTERM');
  await until('the end of the worker', async () => ((await isRunning(worker.pid)) ? undefined : true), 40_000);
  assert.equal(await isRunning(server.pid), false);

  // Runs outlive it: they lie in a file beside the spool.
  await app.startWorker({ flags: ['--embedded'], environment: { TEMPORAL_CLI_PATH: programs.temporal } });
  const again = await app.backup('shop', '--kind', 'config');
  assert.equal(again.code, 0);
});
