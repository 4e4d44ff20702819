import assert from 'node:assert/strict';
import { messageOf } from '../../core/errors.ts';
import { formatBytes, formatDuration } from '../../core/format.ts';
import { beginBackup } from '../support/runs.ts';
import { strays } from '../support/soundness.ts';
import { superviseWorker, type SupervisedWorker } from '../support/supervisedWorker.ts';
import { prepareGround, type Ground } from './ground.ts';
import { killAtRandom, type Kill } from './killer.ts';
import type { SoakOptions } from './options.ts';
import { seededRandom } from './random.ts';
import { describeRestore, drawRestore, restoreAndCompare, type RestoreDraw, type RestoreReport } from './restoring.ts';
import { withScope, type Scope } from './scope.ts';

interface RunReport {
  readonly kills: readonly Kill[];
  /** Milliseconds of the backup. */
  readonly duration: number;
  /** Missing where it could not be restored. */
  readonly restoring: RestoreReport | undefined;
  readonly breaches: readonly string[];
}

/** Backups and restores of them under kills until there were as many as wanted. Gives everything that was not as promised. */
export async function soak(options: SoakOptions, say: (line: string) => void): Promise<string[]> {
  return withScope((scope) => soakOn(scope, options, say));
}

async function soakOn(scope: Scope, options: SoakOptions, say: (line: string) => void): Promise<string[]> {
  say(`making a database of ${formatBytes(options.size)} ...`);
  const ground = await prepareGround(scope, options.size);
  const worker = await superviseWorker(ground.app);
  say(
    `seed ${options.seed}: ${options.kills} kills, a database of ${formatBytes(ground.bytes)}, backends local, near, far (slow)`,
  );
  const random = seededRandom(options.seed);
  const reports: RunReport[] = [];
  const killed = () => reports.reduce((sum, report) => sum + killsOf(report).length, 0);

  // The first run is left alone: what it takes is what kills are held against.
  for (let run = 0; run === 0 || killed() < options.kills; run += 1) {
    const wanted = 1 + Math.floor(random() * options.killsPerRun);
    const kills = run === 0 ? 0 : Math.min(wanted, options.kills - killed());
    const draw = drawRestore(random, run === 0 ? 0 : 1);
    const undisturbed = shortest(reports);
    const report = await withScope((own) => disturbedRun(own, ground, worker, { kills, random, draw, undisturbed }));
    reports.push(report);
    say(describeRun(run, report, draw, killed()));
  }
  say(describeCost(reports));
  return reports.flatMap(({ breaches }, run) => breaches.map((breach) => `run ${run}: ${breach}`));
}

interface Disturbance {
  readonly kills: number;
  /** Milliseconds that a run takes without any. */
  readonly undisturbed: number;
  readonly random: () => number;
  /** How it is restored afterwards. */
  readonly draw: RestoreDraw;
}

async function disturbedRun(
  scope: Scope,
  ground: Ground,
  worker: SupervisedWorker,
  { kills, random, draw, undisturbed }: Disturbance,
): Promise<RunReport> {
  const { app } = ground;
  const begun = Date.now();
  const { workflowId, ended } = await beginBackup(app, 'shop', '--kind', 'database');
  const over = new AbortController();
  const killing = killAtRandom({ app, worker, workflowId, kills, undisturbed, random, ended: over.signal });
  const result = await ended.finally(() => over.abort());
  const duration = Date.now() - begun;
  const done = await killing;
  const breaches: string[] = [];
  let restoring: RestoreReport | undefined;
  const expect = async (what: string, check: () => Promise<void>) => {
    await check().catch((error: unknown) => breaches.push(`${what} (${workflowId}): ${messageOf(error)}`));
  };
  await expect('not verified', async () => {
    assert.equal(result.state, 'verified', `${result.state}: ${result.reasons.join('; ')}`);
  });
  await expect('left behind', async () => assert.deepEqual(await strays(app), []));
  if (result.state === 'verified') {
    await expect('a copy differs from its manifest', async () => {
      const { code, stderr } = await app.holdfast('verify', result.id);
      assert.equal(code, 0, stderr);
    });
    await expect(describeRestore(draw), async () => {
      restoring = await restoreAndCompare(scope, ground, worker, { id: result.id, draw, undisturbed, random });
    });
  }
  // Else the disk would fill with what has been proven already.
  for (const store of Object.values(app.stores)) await store.remove(`shop/manual/${result.id}/`);
  return { kills: done, duration, breaches, restoring };
}

function killsOf({ kills, restoring }: RunReport): readonly Kill[] {
  return [...kills, ...(restoring?.kills ?? [])];
}

function describeRun(run: number, report: RunReport, draw: RestoreDraw, killed: number): string {
  const { duration, restoring, breaches } = report;
  const instants = killsOf(report).map(
    ({ at, during }) => `${(at / 1_000).toFixed(1)} s (${during.join(', ') || 'between steps'})`,
  );
  return [
    `run ${run}: ${breaches.length === 0 ? 'verified' : 'BREACH'} in ${formatDuration(duration)}, ${describeRestore(draw)} in ${formatDuration(restoring?.duration ?? 0)}`,
    instants.length === 0 ? 'undisturbed' : `killed at ${instants.join(', ')}; ${killed} kills so far`,
    ...breaches,
  ].join('; ');
}

/** Of the runs that nobody disturbed, in milliseconds. The first one warms things up, and takes longer. */
function shortest(reports: readonly RunReport[]): number {
  const durations = reports.filter(({ kills }) => kills.length === 0).map(({ duration }) => duration);
  return durations.length === 0 ? 0 : Math.min(...durations);
}

function describeCost(reports: readonly RunReport[]): string {
  const disturbed = reports.filter((report) => report.kills.length > 0);
  const kills = disturbed.reduce((sum, report) => sum + report.kills.length, 0);
  const lost = disturbed.reduce((sum, { duration }) => sum + duration - shortest(reports), 0);
  return `${reports.length} runs; ${kills} kills, each of which cost ${formatDuration(lost / Math.max(1, kills))} on average`;
}
