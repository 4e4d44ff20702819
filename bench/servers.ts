import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bringPostgresPrograms } from '../core/tools/postgresPrograms.ts';
import { startPostgres, type PostgresServer } from '../core/tools/postgresServer.ts';
import { bringTemporalCli } from '../core/tools/temporalCli.ts';
import { startTemporal, type TemporalServer } from '../core/tools/temporalServer.ts';
import { bringVersitygw, startVersitygw, type VersitygwServer } from '../core/tools/versitygw.ts';

export interface Servers {
  readonly postgres: PostgresServer;
  readonly s3: VersitygwServer;
  readonly temporal: TemporalServer;
  /** For libpq programs: the password stands in no argument and no variable. */
  readonly passwordFile: string;
  close(): Promise<void>;
}

export const PASSWORD = 'only-for-the-bench';
export const S3_CREDENTIALS = { accessKeyId: 'holdfast-bench', secretAccessKey: 'only-for-the-bench' };

/** PostgreSQL keeps its databases in `directory` from run to run; the other servers start empty. */
export async function startServers(directory: string, say: (line: string) => void): Promise<Servers> {
  await mkdir(directory, { recursive: true });
  // PostgreSQL may run under another account, which must get through here.
  await chmod(directory, 0o711);
  const binDirectory = await bringPostgresPrograms(process.env, say);
  const versitygw = await bringVersitygw(process.env, say);
  const temporalCli = await bringTemporalCli(process.env, say);
  for (const leftover of ['s3', 'temporal']) await rm(join(directory, leftover), { recursive: true, force: true });

  const started: { close(): Promise<void> }[] = [];
  const close = async () => {
    await Promise.all(started.map((server) => server.close()));
  };
  const keep = <Server extends { close(): Promise<void> }>(server: Server): Server => {
    started.push(server);
    return server;
  };
  try {
    const postgres = keep(
      await startPostgres({
        directory: join(directory, 'postgres'),
        binDirectory,
        password: PASSWORD,
        settings: ['shared_buffers=256MB', 'max_wal_size=4GB', 'autovacuum=off', 'jit=off'],
      }),
    );
    const s3 = keep(await startVersitygw({ program: versitygw, directory: join(directory, 's3'), ...S3_CREDENTIALS }));
    const temporal = keep(
      await startTemporal({ program: temporalCli, directory: join(directory, 'temporal'), uiPort: false }),
    );
    const passwordFile = join(directory, 'pgpass');
    await writeFile(passwordFile, `*:*:*:*:${PASSWORD}\n`, { mode: 0o600 });
    return { postgres, s3, temporal, passwordFile, close };
  } catch (error) {
    await close();
    throw error;
  }
}

export function databaseUrl({ postgres }: Servers, database: string): string {
  return `postgresql://${postgres.user}:${PASSWORD}@${postgres.host}:${postgres.port}/${database}`;
}
