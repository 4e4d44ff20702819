import type { CopyResult } from '../core/backup/run.ts';
import { removeCopies, runBackup, type HoldfastPlan, type Installation } from './holdfastRun.ts';
import { withCpuTimes, type Contender } from './measure.ts';
import { residentMemory, resetPeakMemory } from './processes.ts';
import type { Servers } from './servers.ts';

/** Every way in which Holdfast is measured, by the name that stands in the table. */
export const HOLDFAST = {
  one: { source: 'large', backends: 1, jobs: 1, inventory: 'fingerprints' },
  three: { source: 'large', backends: 3, jobs: 1, inventory: 'fingerprints' },
  two: { source: 'large', backends: 2, jobs: 1, inventory: 'fingerprints' },
  twoOneDown: { source: 'large', backends: 2, oneDown: true, jobs: 1, inventory: 'fingerprints' },
  threeCounts: { source: 'large', backends: 3, jobs: 1, inventory: 'counts' },
  threeOff: { source: 'large', backends: 3, jobs: 1, inventory: 'off' },
  oneParallel: { source: 'large', backends: 1, jobs: 2, inventory: 'fingerprints' },
  threeParallel: { source: 'large', backends: 3, jobs: 2, inventory: 'fingerprints' },
  empty: { source: 'empty', backends: 3, jobs: 1, inventory: 'fingerprints' },
} as const satisfies Record<string, HoldfastPlan>;

export function holdfastName(plan: HoldfastPlan): string {
  const to = `${plan.backends} backend${plan.backends === 1 ? '' : 's'}${plan.oneDown ? ', a third one down' : ''}`;
  if (plan.source === 'empty') return `holdfast, empty database, ${to}`;
  return `holdfast, ${to}, jobs ${plan.jobs}, inventory ${plan.inventory}`;
}

export function holdfastContenders(
  servers: Servers,
  installation: Installation,
  worker: { readonly pid: number },
): Contender[] {
  const counters = [
    { name: 'worker', pid: worker.pid, what: 'own' },
    { name: 'its programs', pid: worker.pid, what: 'ended' },
    { name: 'command', pid: process.pid, what: 'ended' },
    { name: 'PostgreSQL', pid: servers.postgres.pid, what: 'tree' },
    { name: 'S3 server', pid: servers.s3.pid, what: 'tree' },
    { name: 'Temporal', pid: servers.temporal.pid, what: 'tree' },
  ] as const;
  return Object.values(HOLDFAST).map((plan) => ({
    name: holdfastName(plan),
    run: async () => {
      await resetPeakMemory(worker.pid);
      const { now: before } = await residentMemory(worker.pid);
      const { result: run, cpu } = await withCpuTimes(counters, () => runBackup(installation, plan));
      const { peak } = await residentMemory(worker.pid);
      await removeCopies(servers, installation);
      const { parts, copies } = run.result;
      return {
        seconds: run.seconds,
        cpu,
        storedBytes: parts.reduce((sum, part) => sum + part.storedBytes, 0),
        // The copies are read back side by side: the slowest decides.
        verifySeconds: Math.max(...copies.map((copy) => copy.verifyDuration ?? 0)) / 1_000,
        copySeconds: Math.max(...copies.map(copySeconds)),
        memory: { before, peak },
      };
    },
  }));
}

function copySeconds({ state, uploadDuration = 0, verifyDuration = 0 }: CopyResult): number {
  return state === 'verified' ? (uploadDuration + verifyDuration) / 1_000 : 0;
}

/** A first small backup, so that what is loaded and connected once is not counted as a backup's price. */
export async function warmUp(installation: Installation): Promise<void> {
  await runBackup(installation, HOLDFAST.empty);
}
