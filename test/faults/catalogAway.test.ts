import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { listVerifications } from '../../core/catalog/read.ts';
import { recentRestores, type RestoreRecord } from '../../core/catalog/restores.ts';
import type { DrillResult } from '../../core/drill/run.ts';
import { runSql } from '../core/postgres/support.ts';
import { onServer } from '../core/restore/support.ts';
import { createApplication, urlOf, type Application, type RunningWorker } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { haltRestores, until } from '../support/processes.ts';
import { dropRestored, restore } from '../support/restores.ts';
import { addBulkyTable, fillSmallShop } from '../support/smallShop.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcpProxy.ts';

/** Drills and restores that end while the catalog is away: they wait for nothing, and the catalog hears of them later. */

type Answered = DrillResult & { readonly workflowId: string };

const scope = fileScope();
let app: Application;
let worker: RunningWorker;
let catalogProxy: TcpProxy;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  await addBulkyTable(app.database, 100_000);
  catalogProxy = await startTcpProxy(scope, app.catalogDatabase);
  await app.writeSecret('catalog-url', urlOf({ ...app.catalogDatabase, host: '127.0.0.1', port: catalogProxy.port }));
  worker = await app.startWorker();
});

test('drills whose catalog goes away end as they are, let the next one begin, and are noted once it is back', async () => {
  const id = await backUp();
  const drilling = drill('--backup', id);
  const restores = await haltRestores(worker);
  await catalogProxy.goAway();
  restores.signal('SIGCONT');
  const first = await drilling;
  // Begins and ends while it is away, and finds neither lock nor scratch database.
  const second = await drill('--backup', id, '--when-busy', 'refuse');
  assert.deepEqual(await recordsOf([first.workflowId, second.workflowId]), []);

  await catalogProxy.comeBack();
  const records = await until('both records', async () => allOf([first.workflowId, second.workflowId]), 60_000);
  assert.deepEqual(
    records.map(({ kind, outcome, recovery, backup, backend }) => [kind, outcome, recovery, backup, backend]),
    [first, second].map(({ recovery, backend }) => ['drill', 'succeeded', recovery, id, backend]),
  );
  const looks = await until('both looks', async () => {
    const found = await app.useCatalog((catalog) => listVerifications(catalog, id));
    const drills = found.filter(({ depth, outcome }) => depth === 'restored' && outcome === 'passed');
    return drills.length === 2 ? drills : undefined;
  });
  assert.deepEqual(new Set(looks.map(({ backend }) => backend)), new Set([first.backend, second.backend]));
});

test('a restore whose catalog is away is noted, with the time it took, once it is back', async () => {
  await backUp();
  await catalogProxy.goAway();
  const { code, document } = await restore(app, 'latest', '--source', 'shop');
  await dropRestored(app);
  assert.equal(code, 0, JSON.stringify(document));
  assert.deepEqual([document.state, document.catalog], ['restored', 'pending']);
  await catalogProxy.comeBack();
  const [record] = await until('the record', async () => allOf([document.workflowId]), 60_000);
  assert.deepEqual([record?.kind, record?.outcome, record?.recovery], ['restore', 'succeeded', document.recovery]);
});

test('a catalog that is not there for a while, or does not know the backup yet, is told later too', async () => {
  const id = await backUp();
  const { name } = app.catalogDatabase;
  const drilling = drill('--backup', id, '--backend', 'local');
  const restores = await haltRestores(worker);
  await onServer(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
  await onServer(`alter database ${name} rename to ${name}_moved`);
  restores.signal('SIGCONT');
  const { workflowId } = await drilling;
  await onServer(`alter database ${name}_moved rename to ${name}`);
  await runSql(app.catalogDatabase, `delete from holdfast.verifications where backup_id = '${id}'`);
  await runSql(app.catalogDatabase, `delete from holdfast.copies where backup_id = '${id}'`);
  await runSql(app.catalogDatabase, `delete from holdfast.backups where id = '${id}'`);
  await until('the record of the drill', async () => allOf([workflowId]), 60_000);
  // As the daily look does.
  assert.equal((await app.ask('heal', 'shop')).code, 0);
  const look = await until(
    'what it says of the copy',
    async () => {
      const looks = await app.useCatalog((catalog) => listVerifications(catalog, id));
      return looks.find(({ depth }) => depth === 'restored');
    },
    60_000,
  );
  assert.deepEqual([look.backend, look.outcome], ['local', 'passed']);
});

async function backUp(): Promise<string> {
  const { code, document } = await app.backup('shop', '--kind', 'database');
  assert.equal(code, 0, JSON.stringify(document));
  return document.id;
}

async function drill(...args: string[]): Promise<Answered> {
  const { code, document } = await app.ask('drill', 'shop', ...args);
  const result = document as Answered;
  assert.equal(code, 0, JSON.stringify(document));
  assert.deepEqual([result.outcome, result.catalog], ['passed', 'pending']);
  return result;
}

/** In the order that is asked for, once all are there. */
async function allOf(workflowIds: readonly string[]): Promise<RestoreRecord[] | undefined> {
  const records = await recordsOf(workflowIds);
  return records.length === workflowIds.length ? records : undefined;
}

async function recordsOf(workflowIds: readonly string[]): Promise<RestoreRecord[]> {
  const records = await app.useCatalog((catalog) => recentRestores(catalog, { source: 'shop', limit: 50 }));
  return workflowIds.flatMap((id) => records.find(({ workflowId }) => workflowId === id) ?? []);
}
