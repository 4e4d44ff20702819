import { CreateBucketCommand, HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { isHoldfastError } from '../../core/errors.ts';
import { bringPostgresPrograms } from '../../core/tools/postgresPrograms.ts';
import { startPostgres, type PostgresServer } from '../../core/tools/postgresServer.ts';
import type { Say } from '../../core/tools/say.ts';
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

export const BUCKETS = ['shop-backups', 'shop-backups-far'] as const;
export const S3_ACCESS_KEY_ID = 'holdfast-demo';

/** Starts the demo's servers, bringing programs that are missing. Whoever started is closed again when one fails. */
export async function startDemoServers(
  layout: DemoLayout,
  options: { readonly keepRunning: boolean; readonly say: Say },
): Promise<DemoServers> {
  const binDirectory = await bringPostgresPrograms(process.env, options.say);
  const temporalCli = await bringTemporalCli(process.env, options.say);
  const versitygw = await bringS3(options.say);
  const { keepRunning } = options;
  const secret = await demoSecret(layout.secrets, 's3-secret-key');
  await writeSecret(layout.secrets, 's3-access-key-id', S3_ACCESS_KEY_ID);
  const [postgres, temporal, s3] = await allOrNone([
    startPostgres({
      directory: layout.postgres,
      binDirectory,
      password: await demoSecret(layout.secrets, 'postgres-password'),
      keepRunning,
    }),
    startTemporal({ program: temporalCli, directory: layout.temporal, keepRunning }),
    versitygw &&
      startVersitygw({
        program: versitygw,
        directory: layout.s3,
        accessKeyId: S3_ACCESS_KEY_ID,
        secretAccessKey: secret,
        keepRunning,
      }),
  ] as const);
  if (s3) await makeBuckets(s3, secret);
  return { postgres, temporal, s3 };
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

type Startable = Promise<{ close(): Promise<void> }> | undefined;

async function allOrNone<const Servers extends readonly Startable[]>(
  starting: Servers,
): Promise<{ -readonly [Index in keyof Servers]: Awaited<Servers[Index]> }> {
  const outcomes = await Promise.allSettled(starting);
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  const started = outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : undefined));
  if (failure) {
    await Promise.all(started.map((server) => server?.close()));
    throw failure.reason;
  }
  return started as { -readonly [Index in keyof Servers]: Awaited<Servers[Index]> };
}
