import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { listBackups } from '../../core/catalog/read.ts';
import { freePort } from '../../core/tools/freePort.ts';
import { isRunning } from '../../core/tools/server.ts';
import { startTemporal } from '../../core/tools/temporalServer.ts';
import { testServersFromEnvironment } from '../support/addresses.ts';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { haltDumps, until } from '../support/processes.ts';
import { addBulkyTable } from '../support/smallShop.ts';

/** Temporal itself is away for a while in the middle of a backup. */

const scope = fileScope();
const SEGMENT = 5 * 2 ** 20;
let app: Application;
let port: number;

before(async () => {
  app = await createApplication(scope);
  await addBulkyTable(app.database, 150_000);
  port = await freePort();
  app.settings.temporal.address = `127.0.0.1:${port}`;
  delete app.settings.temporal.uiUrl;
  await app.save();
});

/** Milliseconds: longer than the silence after which the steps of a dead worker are taken over. */
const AWAY = 35_000;

test('[34] Temporal is killed in the middle of a backup and comes back: the worker stays, and the run ends verified', async () => {
  const first = await startServer();
  const worker = await app.startWorker();
  const command = app.start('backup', 'shop', '--kind', 'database', '--no-wait');
  const dump = await haltDumps(worker, async () => (await app.spooledBytes()) > SEGMENT);
  assert.equal((await command.ended).code, 0);
  process.kill(first.pid, 'SIGKILL');
  await until('the end of the server', async () => ((await isRunning(first.pid)) ? undefined : true));
  // The dump goes on and ends while nobody can be told.
  dump.signal('SIGCONT');
  await sleep(AWAY);
  await startServer();
  const ended = await until(
    'the end of the run',
    async () => (await app.useCatalog((catalog) => listBackups(catalog)))[0],
    180_000,
  );
  assert.equal(ended.state, 'verified', JSON.stringify(ended));
  assert.ok(await isRunning(worker.pid), await worker.log());
  await until('the empty spool', async () => ((await app.leftBehind()).length === 0 ? true : undefined));
  for (const store of Object.values(app.stores)) assert.deepEqual(await store.leftovers(), []);
  await worker.close();
});

async function startServer() {
  const server = await startTemporal({
    program: testServersFromEnvironment().programs.temporal,
    directory: join(app.home, 'temporal'),
    port,
    uiPort: false,
  });
  scope.after(() => server.close());
  return server;
}
