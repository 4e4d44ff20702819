import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bringPostgresPrograms } from '../../core/tools/postgresPrograms.ts';
import { startPostgres } from '../../core/tools/postgresServer.ts';
import type { Say } from '../../core/tools/say.ts';
import { bringTemporalCli } from '../../core/tools/temporalCli.ts';
import { startTemporal } from '../../core/tools/temporalServer.ts';
import { bringVersitygw, startVersitygw } from '../../core/tools/versitygw.ts';
import type { TestServers } from './addresses.ts';
import { bringPostgresMajor } from './postgresMajors.ts';

export interface RunningTestServers {
  readonly addresses: TestServers;
  close(): Promise<void>;
}

const PASSWORD = 'only for the tests';

/** Programs that the tests need and this machine may lack. */
async function bringTestPrograms(say: Say) {
  const versitygw = await bringVersitygw(process.env, say);
  const temporal = await bringTemporalCli(process.env, say);
  return { versitygw, temporal };
}

/**
 * Starts one PostgreSQL, one S3 and one Temporal server for a whole run of tests, in a directory that goes with them.
 * PostgreSQL is what the machine has, or the `major` that is asked for.
 */
export async function startTestServers(say: Say, major?: number): Promise<RunningTestServers> {
  const programs = await bringTestPrograms(say);
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-servers-'));
  // PostgreSQL may run under another account, which must get through here.
  await chmod(directory, 0o711);
  const binDirectory = await (major === undefined
    ? bringPostgresPrograms(process.env, say)
    : bringPostgresMajor(major, directory, say));
  const s3Credentials = { accessKeyId: 'holdfast-tests', secretAccessKey: 'only-for-the-tests' };
  const [postgres, s3, temporal] = await Promise.all([
    startPostgres({
      directory: join(directory, 'postgres'),
      binDirectory,
      password: PASSWORD,
      durable: false,
      settings: ['max_connections=200', 'max_prepared_transactions=10'],
    }),
    startVersitygw({ program: programs.versitygw, directory: join(directory, 's3'), ...s3Credentials }),
    startTemporal({ program: programs.temporal, directory: join(directory, 'temporal'), persistent: false }),
  ]);
  return {
    addresses: {
      postgres: {
        host: postgres.host,
        port: postgres.port,
        user: postgres.user,
        password: PASSWORD,
        binDirectory: postgres.binDirectory,
      },
      s3: { endpoint: s3.endpoint, region: s3.region, ...s3Credentials, directory: join(directory, 's3') },
      temporal: { address: temporal.address, namespace: temporal.namespace, uiUrl: temporal.uiUrl ?? '' },
      programs: { temporal: programs.temporal, versitygw: programs.versitygw },
    },
    close: async () => {
      await Promise.all([postgres.close(), s3.close(), temporal.close()]);
      await rm(directory, { recursive: true, force: true });
    },
  };
}
