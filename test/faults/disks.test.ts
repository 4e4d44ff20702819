import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { createApplication, type Application, type RunningWorker } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { haltDumps } from '../support/processes.ts';
import { beginBackup, stopHeal } from '../support/runs.ts';
import { fillDisk, mountSmallDisk, noMounts } from '../support/smallDisk.ts';
import { assertRestores, copyOf, strays } from '../support/soundness.ts';
import { addBulkyTable } from '../support/smallShop.ts';

/** Disks that are full or read-only, small real filesystems. */

describe('disks', { skip: noMounts }, () => {
  const scope = fileScope();
  let app: Application;
  let worker: RunningWorker;
  let spoolDisk: ReturnType<typeof mountSmallDisk>;

  before(async () => {
    app = await createApplication(scope);
    await mkdir(app.spool);
    spoolDisk = mountSmallDisk(scope, app.spool, 200);
    mountSmallDisk(scope, join(app.home, 'copies'), 40);
    await addBulkyTable(app.database, 150_000);
    worker = await app.startWorker();
  });

  test('[12] the disk of the spool fills up in the middle of a dump: failed with the reason, and all of it is given back', async () => {
    const backup = await beginBackup(app, 'shop', '--kind', 'database');
    const dump = await haltDumps(worker, async () => (await app.spooledBytes()) > 0);
    const filler = await fillDisk(app.spool);
    dump.signal('SIGCONT');
    const result = await backup.ended;
    await rm(filler);
    assert.equal(result.state, 'failed', JSON.stringify(result));
    assert.equal(result.problem?.type, 'SpoolFailed');
    assert.match(result.problem.message, /disk is full/);
    assert.match(result.problem.advice ?? '', /Free space/);
    assert.deepEqual(await strays(app), []);
    for (const store of ['local', 'near', 'far'] as const)
      assert.deepEqual([...(await copyOf(app, store, result.id)).keys()], []);
  });

  test('[12] [19] a backend whose disk is full costs its own copy only, and nothing stays of it', async (t) => {
    const filler = await fillDisk(join(app.home, 'copies'));
    const { code, document } = await app.backup('shop', '--kind', 'database');
    await stopHeal(app, document);
    await rm(filler);
    assert.equal(code, 3, JSON.stringify(document));
    assert.match(document.reasons.join('\n'), /^No copy on local: .*no space left/);
    assert.deepEqual(await strays(app), []);
    await assertRestores(t, app, document.id, ['near', 'far']);
  });

  test('[12] once there is room the next backup is verified', async (t) => {
    const { code, document } = await app.backup('shop', '--kind', 'database');
    assert.equal(code, 0, JSON.stringify(document));
    await assertRestores(t, app, document.id);
  });

  test('[12] a spool that became read-only fails the backup with what to do', async () => {
    spoolDisk.makeReadOnly();
    const { code, document } = await app.backup('shop', '--kind', 'database');
    assert.equal(code, 1, JSON.stringify(document));
    assert.equal(document.error?.type, 'SpoolFailed');
    assert.match(document.error.message, /read-only/);
    assert.match(document.error.advice ?? '', /Remount/);
  });
});
