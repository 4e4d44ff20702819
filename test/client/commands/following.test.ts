import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { listBackups } from '../../../core/catalog/read.ts';
import { createApplication, type Application, type RunningWorker } from '../../support/application.ts';
import { fileScope } from '../../support/fileScope.ts';
import { descendantsOf, haltDumps, until } from '../../support/processes.ts';
import { querySession } from '../../support/session.ts';
import { addBulkyTable, fillSmallShop } from '../../support/smallShop.ts';

/** Runs that are left, cancelled, or started without waiting. */

const scope = fileScope();
let app: Application;
let worker: RunningWorker;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  worker = await app.startWorker();
});

test('Ctrl-C leaves the run to itself, says how to cancel it, and exits with 130', async () => {
  await whileLocked(async (letGo) => {
    const command = app.start('backup', 'shop', '--kind', 'database');
    const workflowId = await workflowOf(command);
    command.signal('SIGINT');
    const { code, stderr } = await command.ended;
    assert.equal(code, 130, stderr);
    assert.match(stderr, new RegExp(`${workflowId} runs on`));
    assert.match(stderr, new RegExp(`temporal workflow cancel .*--workflow-id ${workflowId}`));
    const handle = (await app.temporal()).workflow.getHandle(workflowId);
    assert.equal((await handle.describe()).status.name, 'RUNNING');
    await letGo();
    const result = (await handle.result()) as { state: string };
    assert.equal(result.state, 'verified');
  });
});

test('a run that is cancelled in the middle of its uploads is recorded so, and leaves nothing anywhere', async () => {
  const earlier = new Set((await app.useCatalog((catalog) => listBackups(catalog))).map(({ id }) => id));
  await addBulkyTable(app.database, 150_000);
  const command = app.start('backup', 'shop');
  await haltDumps(worker, async () => (await app.stores.far.leftovers()).length > 0);
  const workflowId = await workflowOf(command);
  const handle = (await app.temporal()).workflow.getHandle(workflowId);
  await handle.cancel();
  const { code, stderr } = await command.ended;
  assert.equal(code, 130, stderr);
  assert.match(stderr, /cancelled/);
  assert.equal((await handle.describe()).status.name, 'CANCELLED');
  const added = (await app.useCatalog((catalog) => listBackups(catalog))).filter(({ id }) => !earlier.has(id));
  assert.deepEqual(
    added.map(({ state, problem }) => [state, problem?.type]),
    [['failed', 'Cancelled']],
  );
  const [{ id } = { id: '' }] = added;
  for (const store of Object.values(app.stores)) {
    assert.deepEqual(
      [...(await store.objects()).keys()].filter((key) => key.includes(id)),
      [],
    );
    assert.deepEqual(await store.leftovers(), []);
  }
  assert.deepEqual(await app.leftBehind(), []);
  const children = (await descendantsOf(worker.pid)).map(({ name }) => name);
  assert.ok(!children.includes('pg_dump') && !children.includes('tar'), children.join());
});

test('--no-wait prints the run and its link, and the run goes on', async () => {
  const { code, document } = await app.ask('backup', 'shop', '--kind', 'config', '--no-wait');
  assert.equal(code, 0);
  const { started, workflowId, runId, link } = document as Record<string, string>;
  assert.equal(started, true);
  assert.ok(link?.endsWith(`/workflows/${workflowId}/${runId}`), link);
  const result = (await (await app.temporal()).workflow.getHandle(workflowId ?? '').result()) as { state: string };
  assert.equal(result.state, 'verified');
});

/** Holds a lock that no dump gets past, until `use` lets go of it or ends. */
async function whileLocked(use: (letGo: () => Promise<void>) => Promise<void>): Promise<void> {
  await querySession(app.database, async (client) => {
    await client.query('begin; lock table customers in access exclusive mode');
    await use(async () => void (await client.query('commit')));
  });
}

async function workflowOf({ output }: { output: { stderr: string } }): Promise<string> {
  const found = await until('the run', async () => /(backup-shop-\S+) runs/.exec(output.stderr)?.[1]);
  // The first poll of its progress is under way now.
  await sleep(200);
  return found;
}
