import assert from 'node:assert/strict';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, before, beforeEach, test } from 'node:test';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { dropRestored, restore, startRestore, untilPhase, resultOf } from '../support/restores.ts';
import { fillSmallShop } from '../support/smallShop.ts';

/** `latest` where the newest backup is not to be had: an older one is restored, and nobody takes it for the newest. */

const scope = fileScope();
let app: Application;
let older: string;
let newest: string;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  await app.startWorker();
  older = await backUp();
});

beforeEach(async () => {
  newest = await backUp();
});
afterEach(() => dropRestored(app));

test('[24] the newest has lost its manifest on every storage: told before the approval, first in the report, exit code 3', async () => {
  await removeAll(`shop/manual/${newest}/manifest.json`);
  const shown = await app.holdfast('restore', 'latest', '--dry-run');
  assert.equal(shown.code, 0, shown.stderr);
  const told = new RegExp(
    `BACKUP ${older} MAY NOT BE THE NEWEST: parts without a manifest on local, near, far: the catalog knows ${newest} \\(verified\\) on far, local, near, and it is not there`,
  );
  assert.match(shown.stdout, told);
  const handle = await startRestore(app, { source: 'shop', mode: 'replace', safetyBackup: 'skip' });
  const { plan } = await untilPhase(handle, 'approval');
  assert.deepEqual([plan?.backup.id, plan?.newer?.length], [older, 1]);
  await handle.executeUpdate('approve', { args: [{ by: 'the test' }] });
  const result = await resultOf(handle);
  // Planned anew after the approval, of the backup that was chosen then.
  assert.deepEqual([result.state, result.plan?.backup.id, result.plan?.newer?.length], ['degraded', older, 1]);
  const { code, stdout } = await app.holdfast('restore', 'latest', '--target', `${app.database.name}_restored`);
  assert.equal(code, 3, stdout);
  assert.match(stdout.split('\n')[1] ?? '', told);
  assert.equal(stdout.split(newest).length, 2, 'told once');
});

test('[24] the newest has gone from every storage, its parts too', async () => {
  await removeAll(`shop/manual/${newest}/`);
  const { code, document } = await restore(app, 'latest', '--target', `${app.database.name}_restored`);
  assert.deepEqual([code, document.state, document.plan?.backup.id], [3, 'degraded', older]);
  assert.ok(document.plan?.newer?.some((line) => line.includes(`the catalog knows ${newest} (verified)`)));
});

test('[24] the newest lies on a storage that is away', async () => {
  for (const store of [app.stores.near, app.stores.far]) await store.remove(`shop/manual/${newest}/`);
  const path = join(app.home, 'copies');
  await rename(path, `${path}-away`);
  try {
    const { code, document } = await restore(app, 'latest', '--target', `${app.database.name}_restored`);
    assert.deepEqual([code, document.state, document.plan?.backup.id], [3, 'degraded', older]);
    assert.ok(
      document.plan?.newer?.some((line) => line.includes(`${newest} (verified) on far, local, near, and local`)),
    );
    const others = await restore(app, 'latest', '--dry-run', '--backend', 'near', 'far');
    assert.ok(others.document.plan?.newer?.some((line) => line.includes(newest)));
  } finally {
    await rename(`${path}-away`, path);
  }
});

async function backUp(): Promise<string> {
  const { code, document } = await app.backup('shop');
  assert.equal(code, 0, JSON.stringify(document));
  return document.id;
}

async function removeAll(prefix: string): Promise<void> {
  for (const store of Object.values(app.stores)) await store.remove(prefix);
}
