import assert from 'node:assert/strict';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { HoldfastError } from '../../../core/errors.ts';
import { openSpool, type Spool } from '../../../core/spool/spool.ts';
import type { LiveRun } from '../../../core/sweep/liveRuns.ts';
import { sweepSpool, type SweepSpoolOptions } from '../../../core/sweep/sweepSpool.ts';
import { temporaryDirectory } from '../../support/directories.ts';

const DEAD = '20260101T020000Z-dead00';
const LIVE = '20260101T020000Z-live00';

test('[13] folders of dead runs are swept; those of live runs, the identity and foreign files stay', async (t) => {
  const spool = await spoolWith(t, DEAD, LIVE);
  await writeFile(join(spool.path, 'notes.txt'), 'x');
  await mkdir(join(spool.path, 'lost+found'));
  const liveRuns = async () => [{ run: 'the-run', source: 'shop', backup: LIVE }];
  const rehearsal = await sweepSpool(optionsFor(spool, { liveRuns, dryRun: true }));
  assert.equal((await readdir(spool.path)).length, 5, 'a dry run removes nothing');
  const report = await sweepSpool(optionsFor(spool, { liveRuns }));
  assert.deepEqual(report, rehearsal);
  assert.deepEqual(report.swept, [{ folder: DEAD, objects: 2, uploads: 0, bytes: 30 }]);
  assert.deepEqual(
    report.kept.map(({ folder, why }) => [folder, why]),
    [[LIVE, 'the-run is under way and may write there']],
  );
  assert.equal(report.foreign, 2);
  assert.deepEqual((await readdir(spool.path)).toSorted(), [LIVE, 'id', 'lost+found', 'notes.txt'].toSorted());
});

test('[13] what is young stays, and so does everything while Temporal does not answer', async (t) => {
  const spool = await spoolWith(t, DEAD);
  const young = await sweepSpool(optionsFor(spool, { minimumAge: 3_600_000 }));
  assert.deepEqual(
    young.kept.map(({ why }) => why),
    ['younger than 1h 0m'],
  );
  const away = new HoldfastError('TemporalUnreachable', 'nobody answers');
  await assert.rejects(sweepSpool(optionsFor(spool, { liveRuns: () => Promise.reject(away) })), away);
  assert.ok((await readdir(spool.path)).includes(DEAD));
});

test('[13] a heal writes to no spool, a run that has not said anything may write to any', async (t) => {
  const spool = await spoolWith(t, DEAD);
  const startedAt = new Date('2026-01-01');
  const keptBy = async (...live: LiveRun[]) => {
    const { kept } = await sweepSpool(optionsFor(spool, { dryRun: true, liveRuns: async () => live }));
    return kept.map(({ why }) => why.split(' ')[0]);
  };
  assert.deepEqual(await keptBy({ run: 'heal', startedAt, source: 'shop' }), []);
  assert.deepEqual(await keptBy({ run: 'silent', startedAt }), ['silent']);
  assert.deepEqual(await keptBy({ run: 'restarted', startedAt, source: 'shop', backup: LIVE }), ['restarted']);
  assert.deepEqual(await keptBy({ run: 'later', startedAt: new Date(), source: 'shop', backup: LIVE }), []);
});

test('a link in the place of a folder is removed and not followed', async (t) => {
  const spool = await spoolWith(t);
  const elsewhere = await temporaryDirectory(t);
  await writeFile(join(elsewhere, 'precious'), 'x');
  await symlink(elsewhere, join(spool.path, DEAD));
  await sweepSpool(optionsFor(spool));
  assert.deepEqual(await readdir(elsewhere), ['precious']);
});

test('a spool that cannot be read is an error', async (t) => {
  const spool = await spoolWith(t);
  await assert.rejects(
    sweepSpool(optionsFor({ ...spool, path: join(spool.path, 'id') })),
    (error) => error instanceof HoldfastError && error.type === 'SpoolFailed',
  );
});

async function spoolWith(t: TestContext, ...backups: string[]): Promise<Spool> {
  const path = join(await temporaryDirectory(t), 'spool');
  const spool = await openSpool({ path, limit: 2 ** 30, segmentSize: 2 ** 20 });
  for (const backup of backups) {
    const attempt = join(path, backup, 'attempt-0001');
    await mkdir(attempt, { recursive: true });
    await writeFile(join(attempt, 'database.dump.zst.enc.00001.segment'), Buffer.alloc(10));
    await writeFile(join(attempt, 'journal.jsonl'), Buffer.alloc(20));
  }
  return spool;
}

function optionsFor(spool: Spool, changes: Partial<SweepSpoolOptions> = {}): SweepSpoolOptions {
  return {
    spool,
    minimumAge: 0,
    dryRun: false,
    listed: 100,
    liveRuns: async () => [],
    onSwept: () => undefined,
    onKept: () => undefined,
    onProblem: () => undefined,
    now: new Date(Date.now() + 60_000),
    signal: new AbortController().signal,
    ...changes,
  };
}
