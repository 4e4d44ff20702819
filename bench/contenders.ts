import { join } from 'node:path';
import { findOnPath } from '../core/tools/programPath.ts';
import { bytesBelow, runScript, withCpuTimes, type Contender } from './measure.ts';
import type { Servers } from './servers.ts';

/** What most people run today, each into one local directory. */
export const PLAIN = 'pg_dump -Fc';
export const PIPE = 'pg_dump -Fc -Z0 | zstd';
export const PARALLEL = 'pg_dump -Fd -j 2 -Z1';
export const RESTIC = 'pg_dump -Fc -Z0 | restic';

export async function otherContenders(servers: Servers, database: string, level: number): Promise<Contender[]> {
  const restic = await findOnPath('restic', process.env);
  const dump = pgDump(servers, database);
  const scripts: [string, string][] = [
    [PIPE, `${dump} -Fc -Z0 | zstd -${level} --quiet > "$TARGET/dump.zst"`],
    [PLAIN, `${dump} -Fc -f "$TARGET/dump"`],
    [PARALLEL, `${dump} -Fd -j 2 -Z1 -f "$TARGET/dump"`],
  ];
  if (restic !== undefined) {
    const repository =
      'export RESTIC_REPOSITORY="$TARGET/repository" RESTIC_PASSWORD=only-for-the-bench RESTIC_CACHE_DIR="$TARGET/cache"';
    scripts.push([
      RESTIC,
      `${repository}; ${restic} init -q; ${dump} -Fc -Z0 | ${restic} backup -q --stdin --stdin-filename dump`,
    ]);
  }
  return scripts.map(([name, script]) => ({
    name,
    run: async (directory) => {
      const { result, cpu } = await withCpuTimes(
        [
          { name: 'programs', pid: process.pid, what: 'ended' },
          { name: 'PostgreSQL', pid: servers.postgres.pid, what: 'tree' },
        ],
        () => runScript(script, { PGPASSFILE: servers.passwordFile, TARGET: directory }),
      );
      return { seconds: result.seconds, cpu, storedBytes: await bytesBelow(directory) };
    },
  }));
}

/** How many times smaller zstd makes the whole dump. */
export async function measureCompression(servers: Servers, database: string, level: number): Promise<number> {
  const { output } = await runScript(
    `{ ${pgDump(servers, database)} -Fc -Z0 | tee >(wc -c >&3) | zstd -${level} --quiet | wc -c; } 3>&1`,
    { PGPASSFILE: servers.passwordFile },
  );
  const [one = 0, other = 0] = output.trim().split(/\s+/).map(Number);
  return Math.max(one, other) / Math.min(one, other);
}

export function pgDump({ postgres }: Servers, database: string): string {
  const program = join(postgres.binDirectory, 'pg_dump');
  return `${program} -h ${postgres.host} -p ${postgres.port} -U ${postgres.user} -d ${database}`;
}
