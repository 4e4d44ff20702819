import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after } from 'node:test';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { testServersFromEnvironment, type TestServers } from './addresses.ts';
import type { Scope } from './directories.ts';
import { querySession } from './session.ts';

export interface TestDatabase {
  readonly host: string;
  readonly port: number;
  readonly name: string;
  readonly user: string;
  readonly password: string;
}

/** Databases that somebody was still connected to when their test's clean-up began. */
const stillInUse = new Set<string>();
after(async () => {
  for (const name of stillInUse) await onServer(`drop database if exists ${name} with (force)`);
});

/** The shared PostgreSQL server, as its superuser. */
export function testPostgres(): TestServers['postgres'] {
  return testServersFromEnvironment().postgres;
}

/** The shared S3 server, as its root user. */
export function testS3(): Omit<TestServers['s3'], 'directory'> {
  const { endpoint, region, accessKeyId, secretAccessKey } = testServersFromEnvironment().s3;
  return { endpoint, region, accessKeyId, secretAccessKey };
}

/** The shared Temporal server. */
export function testTemporal(): TestServers['temporal'] {
  return testServersFromEnvironment().temporal;
}

/** An empty database of the test's own with the superuser's login, dropped after the test. */
export async function createDatabase(scope: Scope): Promise<TestDatabase> {
  const { host, port, user, password } = testPostgres();
  const name = uniqueName('test_');
  await onServer(`create database ${name} template template0`);
  scope.after(() => dropDatabase(name));
  return { host, port, name, user, password };
}

/** An empty bucket of the test's own, removed after the test with all versions and uploads. */
export async function createBucket(scope: Scope, options: { objectLock?: boolean } = {}): Promise<string> {
  const { endpoint, region, accessKeyId, secretAccessKey } = testS3();
  const bucket = uniqueName('test-');
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  await client.send(
    new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: options.objectLock ?? false }),
  );
  client.destroy();
  scope.after(() => removeBucket(bucket));
  return bucket;
}

/**
 * node:test runs the oldest clean-up first, so the test's own clients may be closed only after this: their database
 * waits for the end of the file then, because ending their sessions by force would fail the test.
 */
async function dropDatabase(name: string): Promise<void> {
  const sessions = await onServer(`select 1 from pg_stat_activity where datname = '${name}'`);
  if (sessions > 0) stillInUse.add(name);
  else await onServer(`drop database if exists ${name}`);
}

async function onServer(statement: string): Promise<number> {
  return querySession(
    { ...testPostgres(), name: 'postgres' },
    async (client) => (await client.query(statement)).rowCount ?? 0,
  );
}

/** By the server's own folders: that is fast however much is in it, and no lock or version stands in the way. */
async function removeBucket(bucket: string): Promise<void> {
  const { directory } = testServersFromEnvironment().s3;
  await rm(join(directory, 'buckets', bucket), { recursive: true, force: true });
  await rm(join(directory, 'versions', bucket), { recursive: true, force: true });
}

function uniqueName(prefix: string): string {
  return prefix + randomBytes(6).toString('hex');
}
