import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { until } from '../support/processes.ts';
import { beginBackup, stopHeal } from '../support/runs.ts';
import { testS3 } from '../support/servers.ts';
import { assertRestores, strays } from '../support/soundness.ts';
import { addBulkyTable } from '../support/smallShop.ts';
import { startToxicLink, type ToxicLink } from '../support/toxiproxy.ts';

/** A bad network between the worker and one of three backends. */

const scope = fileScope();
let app: Application;
let link: ToxicLink;

before(async () => {
  app = await createApplication(scope);
  link = await startToxicLink(scope, testS3().endpoint);
  const { far } = app.settings.backends;
  assert.ok(far?.type === 's3');
  Object.assign(far, { endpoint: link.endpoint, requestTimeout: '2s' });
  const { shop } = app.settings.plans ?? {};
  assert.ok(shop);
  shop.uploads = { retryFor: '30s' };
  await app.save();
  await addBulkyTable(app.database, 100_000);
  await app.startWorker();
});

/** Slow enough that there is a middle. */
const SLOW = { type: 'bandwidth', attributes: { rate: 4_000 } } as const;

async function uploadUnderWay(): Promise<void> {
  await until('an upload', async () => ((await app.stores.far.leftovers()).length > 0 ? true : undefined));
}

test('[14] a slow and jittery network: verified', async (t) => {
  await link.poison('upstream', { type: 'bandwidth', attributes: { rate: 8_000 } });
  await link.poison('downstream', { type: 'latency', attributes: { latency: 150, jitter: 100 } });
  const { code, document } = await app.backup('shop', '--kind', 'database');
  await link.heal();
  assert.equal(code, 0, JSON.stringify(document));
  await assertRestores(t, app, document.id);
});

test('[14] [19] a backend that goes away in the middle of its upload and comes back: the upload goes on, verified', async (t) => {
  await link.poison('upstream', SLOW);
  const backup = await beginBackup(app, 'shop', '--kind', 'database');
  await uploadUnderWay();
  await link.goDown();
  const { local, near } = app.stores;
  // Those that are there are not held up by it.
  for (const store of [local, near]) {
    await until('the manifest of another copy', async () =>
      (await store.keys()).some((key) => key.endsWith('manifest.json')) ? true : undefined,
    );
  }
  await link.heal();
  await link.goUp();
  const result = await backup.ended;
  assert.equal(result.state, 'verified', JSON.stringify(result));
  assert.deepEqual(await strays(app), []);
  await assertRestores(t, app, result.id);
});

test('[14] a network that swallows everything for a while in the middle of an upload: verified', async (t) => {
  await link.poison('upstream', SLOW);
  const backup = await beginBackup(app, 'shop', '--kind', 'database');
  await uploadUnderWay();
  await link.poison('upstream', { type: 'timeout', attributes: { timeout: 0 } });
  await until('copies elsewhere', async () => ((await publishedNear()) === 3 ? true : undefined));
  await link.heal();
  const result = await backup.ended;
  assert.equal(result.state, 'verified', JSON.stringify(result));
  await assertRestores(t, app, result.id);
});

test('[19] a backend that is down during the whole run: degraded with the reason, the others untouched by it', async (t) => {
  await link.goDown();
  const { code, document } = await app.backup('shop', '--kind', 'database');
  await stopHeal(app, document);
  await link.goUp();
  assert.equal(code, 3, JSON.stringify(document));
  assert.deepEqual(
    document.copies.map(({ backend, state }) => [backend, state]),
    [
      ['local', 'verified'],
      ['near', 'verified'],
      ['far', 'failed'],
    ],
  );
  assert.match(document.reasons.join('\n'), /^No copy on far: .*(ECONNREFUSED|cannot be reached)/);
  await assertRestores(t, app, document.id, ['near', 'local']);
});

test('[14] connections that never live long enough for a segment: degraded, not tried for ever', async (t) => {
  await link.poison('upstream', { type: 'limit_data', attributes: { bytes: 2_000_000 } });
  const { code, document } = await app.backup('shop', '--kind', 'database');
  await stopHeal(app, document);
  await link.heal();
  assert.equal(code, 3, JSON.stringify(document));
  assert.match(document.reasons.join('\n'), /^No copy on far: /);
  await assertRestores(t, app, document.id, ['near', 'local']);
});

async function publishedNear(): Promise<number> {
  return (await app.stores.near.keys()).filter((key) => key.endsWith('manifest.json')).length;
}
