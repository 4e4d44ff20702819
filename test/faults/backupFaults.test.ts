import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, test, type TestContext } from 'node:test';
import { findBackup } from '../../core/catalog/read.ts';
import { runProgram } from '../core/postgres/support.ts';
import { createApplication, urlOf, type Application, type RunningWorker } from '../support/application.ts';
import { databaseContents } from '../support/contents.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { fileScope } from '../support/fileScope.ts';
import { haltDumps, until, type HaltedProcesses } from '../support/processes.ts';
import { createDatabase } from '../support/servers.ts';
import { querySession } from '../support/session.ts';
import { addBulkyTable } from '../support/smallShop.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcpProxy.ts';

/** Faults in the middle of a backup, which it has to survive or to own up to. */

const scope = fileScope();
const SEGMENT = 5 * 2 ** 20;
let app: Application;
let worker: RunningWorker;
let catalogProxy: TcpProxy;

before(async () => {
  app = await createApplication(scope);
  await addBulkyTable(app.database, 150_000);
  catalogProxy = await startTcpProxy(scope, app.catalogDatabase);
  await app.writeSecret('catalog-url', urlOf({ ...app.catalogDatabase, host: '127.0.0.1', port: catalogProxy.port }));
  worker = await app.startWorker();
});

test('[2] a pg_dump that is killed is run again, and the backup holds bytes of one attempt only', async (t) => {
  const running = app.backup('shop', '--kind', 'database');
  const dump = await stoppedInTheMiddle();
  dump.signal('SIGKILL');
  const { code, document } = await running;
  assert.equal(code, 0, JSON.stringify(document));
  assert.equal(await attemptsOf(document.workflowId, 'dump'), 2);
  await assertHoldsTheDatabase(t, document.id);
});

test('[2] [5] a backend that is terminated in the middle of its COPY: the step is run again on a new snapshot', async (t) => {
  const running = app.backup('shop', '--kind', 'database');
  const dump = await stoppedInTheMiddle();
  await querySession(app.database, async (client) => {
    const { rowCount } = await client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and state = 'active' and query ~* '^copy .*bulky'`,
    );
    assert.equal(rowCount, 1);
  });
  dump.signal('SIGCONT');
  const { code, document } = await running;
  assert.equal(code, 0, JSON.stringify(document));
  assert.equal(await attemptsOf(document.workflowId, 'dump'), 2);
  await assertHoldsTheDatabase(t, document.id);
});

test('a catalog that goes away during the run is told of the backup once it is back', async () => {
  const running = app.backup('shop', '--kind', 'database');
  const dump = await stoppedInTheMiddle();
  await catalogProxy.goAway();
  dump.signal('SIGCONT');
  const { code, document, stderr } = await running;
  assert.equal(code, 0, JSON.stringify(document) + stderr);
  assert.equal(document.state, 'verified');
  assert.equal(document.catalog, 'pending');
  assert.ok([...(await app.stores.far.objects()).keys()].includes(`shop/manual/${document.id}/manifest.json`));
  const find = () => app.useCatalog((catalog) => findBackup(catalog, document.id)).catch(() => undefined);
  assert.equal(await find(), undefined);

  await catalogProxy.comeBack();
  const record = await until('the catalog entry', find, 60_000);
  assert.equal(record.state, 'verified');
  assert.equal(record.workflowId, document.workflowId);
  assert.deepEqual(
    record.copies.map(({ state }) => state),
    ['verified', 'verified', 'verified'],
  );
});

test('a backup can begin and end while the catalog is away, and says so', async () => {
  await catalogProxy.goAway();
  try {
    const { code, document } = await app.backup('shop', '--kind', 'database');
    assert.equal(code, 0, JSON.stringify(document));
    assert.equal(document.catalog, 'pending');
    assert.ok(
      document.warnings.some((warning) => /catalog/i.test(warning)),
      document.warnings.join('\n'),
    );
    assert.doesNotMatch(JSON.stringify(document), /only for the tests|only%20for/);
  } finally {
    await catalogProxy.comeBack();
  }
});

test('after these faults nothing is left in the spool, and no upload on any backend', async () => {
  assert.deepEqual(await app.leftBehind(), []);
  for (const store of Object.values(app.stores)) assert.deepEqual(await store.leftovers(), []);
});

/** Halts the dump once more than a segment is in the spool and an upload is under way. */
function stoppedInTheMiddle(): Promise<HaltedProcesses> {
  return haltDumps(
    worker,
    async () => (await app.spooledBytes()) > SEGMENT && (await app.stores.near.leftovers()).length > 0,
  );
}

/** How often a step was tried in all; the history notes the last try of each step that ended. */
async function attemptsOf(workflowId: string, step: string): Promise<number> {
  const { events } = await (await app.temporal()).workflow.getHandle(workflowId).fetchHistory();
  const scheduled = events?.find((event) => event.activityTaskScheduledEventAttributes?.activityType?.name === step);
  const started = events?.find(
    (event) => Number(event.activityTaskStartedEventAttributes?.scheduledEventId) === Number(scheduled?.eventId),
  );
  return started?.activityTaskStartedEventAttributes?.attempt ?? 0;
}

async function assertHoldsTheDatabase(t: TestContext, id: string): Promise<void> {
  const dump = join(await temporaryDirectory(t), 'shop.dump');
  const restored = await createDatabase(t);
  const { code, stderr } = await app.holdfast('extract', id, '--backend', 'near', '-o', dump);
  assert.equal(code, 0, stderr);
  await runProgram(restored, 'pg_restore', ['-d', restored.name, '--exit-on-error', dump]);
  assert.deepEqual(await databaseContents(restored), await databaseContents(app.database));
  const verified = await app.holdfast('verify', id);
  assert.equal(verified.code, 0, verified.stderr);
}
