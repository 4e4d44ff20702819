import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startTemporal } from '../../core/tools/temporalServer.ts';
import { testServersFromEnvironment } from '../support/addresses.ts';
import { createApplication } from '../support/application.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { haltDumps } from '../support/processes.ts';
import { beginBackup } from '../support/runs.ts';
import { assertRestores, strays } from '../support/soundness.ts';
import { addBulkyTable } from '../support/smallShop.ts';

/** Milliseconds. Longer than any heartbeat timeout: what ran is given up by the server as soon as it is back. */
const AWAY = 120_000;

test('[34] Temporal is killed in the middle of a run and is back two minutes later: the run ends verified', async (t) => {
  const directory = join(await temporaryDirectory(t), 'temporal');
  const program = testServersFromEnvironment().programs.temporal;
  const server = await startTemporal({ program, directory, uiPort: false });
  t.after(() => server.close());
  const app = await createApplication(t);
  app.settings.temporal.address = server.address;
  await app.save();
  await addBulkyTable(app.database, 100_000);
  const worker = await app.startWorker();

  const backup = await beginBackup(app, 'shop', '--kind', 'database');
  const dump = await haltDumps(worker, async () => (await app.spooledBytes()) > 0);
  process.kill(server.pid, 'SIGKILL');
  dump.signal('SIGCONT');
  await pause(AWAY);
  const again = await startTemporal({ program, directory, uiPort: false, port: server.port });
  t.after(() => again.close());

  const result = await backup.ended;
  assert.equal(result.state, 'verified', JSON.stringify(result));
  assert.deepEqual(await strays(app), []);
  await assertRestores(t, app, result.id);
});
