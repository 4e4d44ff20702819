import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pgDump } from './contenders.ts';
import { administer, dropDatabase } from './data.ts';
import { HOLDFAST } from './holdfastContenders.ts';
import { removeCopies, runBackup, type HoldfastPlan, type Installation } from './holdfastRun.ts';
import { runScript, withCpuTimes, type Contender } from './measure.ts';
import { runRestore } from './restoreRun.ts';
import type { Servers } from './servers.ts';

/** What most people run today to get a compressed dump back, by the name that stands in the table. */
export const BY_HAND = {
  pipe: 'restore: zstd -dc | pg_restore',
  parallel: 'restore: zstd -d to a file, pg_restore -j 2',
} as const;

interface HoldfastRestore {
  readonly plan: HoldfastPlan;
  readonly backend: string;
}

/** The restores of Holdfast that are measured. The number of jobs is that of the backup. */
export const RESTORES = {
  one: { plan: HOLDFAST.one, backend: 'local' },
  parallel: { plan: HOLDFAST.threeParallel, backend: 'local' },
  parallelS3: { plan: HOLDFAST.threeParallel, backend: 'one' },
} as const satisfies Record<string, HoldfastRestore>;

export function restoreName({ plan, backend }: HoldfastRestore): string {
  return `restore: holdfast, from ${backend === 'local' ? 'a local backend' : 'S3'}, jobs ${plan.jobs}`;
}

export interface PreparedRestores {
  readonly contenders: readonly Contender[];
  close(): Promise<void>;
}

/** The database that every contender makes anew. */
const RESTORED = 'bench_restored';

/** A dump of the database as people keep it, read by every restore by hand. `close` removes it. */
export async function restoresByHand(
  servers: Servers,
  database: string,
  options: { readonly directory: string; readonly level: number },
): Promise<PreparedRestores> {
  const directory = join(options.directory, 'dump');
  await mkdir(directory, { recursive: true });
  const environment = { PGPASSFILE: servers.passwordFile, DUMP: join(directory, 'dump.zst') };
  await runScript(`${pgDump(servers, database)} -Fc -Z0 | zstd -${options.level} --quiet -f -o "$DUMP"`, environment);
  const { binDirectory, host, port, user } = servers.postgres;
  const program = (name: string) => `${join(binDirectory, name)} -h ${host} -p ${port} -U ${user}`;
  const restore = `${program('pg_restore')} --exit-on-error -d ${RESTORED}`;
  const create = `${program('createdb')} -T template0 ${RESTORED}`;
  const scripts: [string, string][] = [
    [BY_HAND.pipe, `${create}; zstd -dc --quiet "$DUMP" | ${restore}`],
    [BY_HAND.parallel, `${create}; zstd -d --quiet "$DUMP" -o "$TARGET/dump"; ${restore} -j 2 "$TARGET/dump"`],
  ];
  const contenders = scripts.map(([name, script]) => ({
    name,
    run: (target: string) =>
      intoNewDatabase(servers, async () => {
        const { result, cpu } = await withCpuTimes(counters(servers, 'programs'), () =>
          runScript(script, { ...environment, TARGET: target }),
        );
        return { seconds: result.seconds, cpu };
      }),
  }));
  return { contenders, close: () => rm(directory, { recursive: true, force: true }) };
}

/** Makes the backups, on the storages that `installation` has; every restore reads them again. `close` removes them. */
export async function holdfastRestores(
  servers: Servers,
  installation: Installation,
  wanted: (name: string) => boolean,
): Promise<PreparedRestores> {
  const restores: HoldfastRestore[] = Object.values(RESTORES).filter((restore) => wanted(restoreName(restore)));
  const backups = new Map<HoldfastPlan, string>();
  for (const { plan } of restores)
    if (!backups.has(plan)) backups.set(plan, (await runBackup(installation, plan)).result.id);
  const contenders = restores.map(({ plan, backend }) => ({
    name: restoreName({ plan, backend }),
    run: () =>
      intoNewDatabase(servers, async () => {
        const order = { backend, backup: backups.get(plan) ?? '', target: RESTORED, jobs: plan.jobs };
        const { result, cpu } = await withCpuTimes(counters(servers, 'restore'), () => runRestore(installation, order));
        const { durations, reconciliation, memory } = result.answer;
        return {
          seconds: result.seconds,
          cpu,
          verifySeconds: reconciliation / 1_000,
          phaseSeconds: Object.fromEntries(Object.entries(durations).map(([phase, taken]) => [phase, taken / 1_000])),
          memory,
        };
      }),
  }));
  return { contenders, close: () => removeCopies(servers, installation) };
}

function counters(servers: Servers, name: string) {
  return [
    { name, pid: process.pid, what: 'ended' },
    { name: 'PostgreSQL', pid: servers.postgres.pid, what: 'tree' },
    { name: 'S3 server', pid: servers.s3.pid, what: 'tree' },
  ] as const;
}

/** What an earlier run left to be written must not be this one's price, nor its database stay on the disk. */
async function intoNewDatabase<Result>(servers: Servers, work: () => Promise<Result>): Promise<Result> {
  await dropDatabase(servers, RESTORED);
  await administer(servers, 'checkpoint');
  try {
    return await work();
  } finally {
    await dropDatabase(servers, RESTORED);
  }
}
