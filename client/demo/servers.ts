import { CreateBucketCommand, HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { isHoldfastError } from '../../core/errors.ts';
import { bringPostgresPrograms } from '../../core/tools/postgresPrograms.ts';
import { startPostgres, type PostgresServer } from '../../core/tools/postgresServer.ts';
import type { Say } from '../../core/tools/say.ts';
import type { RunningServer } from '../../core/tools/server.ts';
import { bringTemporalCli } from '../../core/tools/temporalCli.ts';
import { startTemporal, type TemporalServer } from '../../core/tools/temporalServer.ts';
import { bringVersitygw, startVersitygw, type VersitygwServer } from '../../core/tools/versitygw.ts';
import type { DemoLayout } from './layout.ts';
import { demoSecret, writeSecret } from './secrets.ts';

export interface DemoServers {
  readonly postgres: PostgresServer;
  readonly temporal: TemporalServer;
  /** Undefined where this machine can have no S3 server; directories take its place then. */
  readonly s3: VersitygwServer | undefined;
}

export interface DemoServerOptions {
  readonly keepRunning: boolean;
  readonly say: Say;
  readonly onStart: (name: string, server: RunningServer) => void;
}

export const BUCKETS = ['shop-backups', 'shop-backups-far'] as const;
export const S3_ACCESS_KEY_ID = 'holdfast-demo';

/**
 * Starts the demo's servers, bringing programs that are missing. Each is handed to `onStart` as soon as it runs, so that
 * the caller can end what started when a later one fails.
 */
export async function startDemoServers(layout: DemoLayout, options: DemoServerOptions): Promise<DemoServers> {
  const { keepRunning, say, onStart } = options;
  const binDirectory = await bringPostgresPrograms(process.env, say);
  const temporalCli = await bringTemporalCli(process.env, say);
  const versitygw = await bringS3(say);

  const password = await demoSecret(layout.secrets, 'postgres-password');
  const postgres = await startPostgres({ directory: layout.postgres, binDirectory, password, keepRunning });
  onStart('PostgreSQL', postgres);
  const temporal = await startTemporal({ program: temporalCli, directory: layout.temporal, keepRunning });
  onStart('Temporal', temporal);
  const s3 = versitygw === undefined ? undefined : await startS3(versitygw, layout, keepRunning);
  if (s3) onStart('versitygw', s3);
  return { postgres, temporal, s3 };
}

async function startS3(program: string, layout: DemoLayout, keepRunning: boolean): Promise<VersitygwServer> {
  const secretAccessKey = await demoSecret(layout.secrets, 's3-secret-key');
  await writeSecret(layout.secrets, 's3-access-key-id', S3_ACCESS_KEY_ID);
  const accessKeyId = S3_ACCESS_KEY_ID;
  const s3 = await startVersitygw({ program, directory: layout.s3, accessKeyId, secretAccessKey, keepRunning });
  await makeBuckets(s3, secretAccessKey);
  return s3;
}

async function bringS3(say: Say): Promise<string | undefined> {
  try {
    return await bringVersitygw(process.env, say);
  } catch (error) {
    if (!isHoldfastError(error, 'ToolMissing')) throw error;
    say(`${error.message}. Directories take the place of the two buckets. ${error.advice}`);
    return undefined;
  }
}

async function makeBuckets(s3: VersitygwServer, secretAccessKey: string): Promise<void> {
  const client = new S3Client({
    endpoint: s3.endpoint,
    region: s3.region,
    forcePathStyle: true,
    credentials: { accessKeyId: S3_ACCESS_KEY_ID, secretAccessKey },
  });
  try {
    for (const Bucket of BUCKETS) {
      const there = await client.send(new HeadBucketCommand({ Bucket })).then(
        () => true,
        () => false,
      );
      if (!there) await client.send(new CreateBucketCommand({ Bucket }));
    }
  } finally {
    client.destroy();
  }
}
