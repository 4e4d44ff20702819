import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from 'pg';
import { ListBucketsCommand, S3Client } from '@aws-sdk/client-s3';
import { Connection } from '@temporalio/client';
import { createBucket, createDatabase, testS3, testTemporal } from '../../support/servers.ts';

test('a database of its own answers on the shared PostgreSQL server', async (t) => {
  const { name, ...login } = await createDatabase(t);
  const client = new Client({ ...login, database: name });
  await client.connect();
  t.after(() => client.end());
  const { rows } = await client.query<{ name: string }>('select current_database() as name');
  assert.equal(rows[0]?.name, name);
});

test('a bucket of its own stands on the shared S3 server', async (t) => {
  const bucket = await createBucket(t);
  const { endpoint, region, accessKeyId, secretAccessKey } = testS3();
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  t.after(() => client.destroy());
  const { Buckets } = await client.send(new ListBucketsCommand({}));
  assert.ok(Buckets?.some(({ Name }) => Name === bucket));
});

test('the shared Temporal server has its namespace', async (t) => {
  const { address, namespace } = testTemporal();
  const connection = await Connection.connect({ address });
  t.after(() => connection.close());
  const described = await connection.workflowService.describeNamespace({ namespace });
  assert.equal(described.namespaceInfo?.name, namespace);
});
