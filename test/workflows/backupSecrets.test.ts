import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { before, test, type TestContext } from 'node:test';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { startVersitygw } from '../../core/tools/versitygw.ts';
import { runProgram, runSql } from '../core/postgres/support.ts';
import { testServersFromEnvironment } from '../support/addresses.ts';
import { createApplication, type Application, type RunningWorker } from '../support/application.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { fileScope } from '../support/fileScope.ts';
import { decodedDescription, decodedHistory } from '../support/history.ts';
import { bucketStore, type Store } from '../support/objects.ts';
import { descendantsOf, haltDumps, until, type SeenProcess } from '../support/processes.ts';

/** [38] Secrets and data are looked for in every place that a backup touches. */

const scope = fileScope();
const mark = () => randomBytes(12).toString('hex');
const aesKey = randomBytes(32);
const secrets = {
  row: `canary-row-${mark()}`,
  databasePassword: `canary-password-${mark()}`,
  wrongPassword: `canary-wrong-${mark()}`,
  s3Secret: `canary-s3-${mark()}`,
  wrongS3Secret: `canary-wrong-s3-${mark()}`,
  dotEnv: `canary-dotenv-${mark()}`,
  aesKey: aesKey.toString('base64'),
};
/** The same secrets as they would look in other clothes. */
const searched: readonly Buffer[] = [
  aesKey,
  ...Object.values(secrets).flatMap((text) => [text, Buffer.from(text).toString('base64').slice(0, -4)]),
  aesKey.toString('hex'),
].map((form) => Buffer.from(form));

let app: Application;
let worker: RunningWorker;
let secretStore: Store;
const role = `canary_${mark()}`;

before(async () => {
  app = await createApplication(scope, {
    environment: {
      SHOP_DB_PASSWORD: secrets.databasePassword,
      WRONG_PASSWORD: secrets.wrongPassword,
      S3_SECRET: secrets.s3Secret,
      WRONG_S3_SECRET: secrets.wrongS3Secret,
      OPS_KEY: secrets.aesKey,
    },
  });
  await runSql(
    app.database,
    `create table customers as select i as id, '${secrets.row}' || md5(i::text) as name, md5(random()::text) as noise
       from generate_series(1, 400000) i;
     create role ${role} login superuser password '${secrets.databasePassword}'`,
  );
  scope.after(() => runSql(app.database, `drop role ${role}`));
  await writeFile(join(app.trees.media, 'photo.jpg'), randomBytes(40_000_000));
  await writeFile(join(app.trees.config, '.env'), `SECRET_KEY=${secrets.dotEnv}\n`);

  const server = { accessKeyId: 'canary', secretAccessKey: secrets.s3Secret };
  const s3 = await startVersitygw({
    program: testServersFromEnvironment().programs.versitygw,
    directory: await temporaryDirectory(scope),
    ...server,
  });
  scope.after(() => s3.close());
  const { endpoint, region } = s3;
  const client = new S3Client({ endpoint, region, forcePathStyle: true, credentials: server });
  await client.send(new CreateBucketCommand({ Bucket: 'canary-bucket' }));
  client.destroy();
  secretStore = bucketStore('canary-bucket', { endpoint, region, ...server });

  const { backends, sources, plans = {}, keys } = app.settings;
  const bucket = { type: 's3' as const, endpoint, region, accessKeyId: await app.writeSecret('canary-id', 'canary') };
  backends['far'] = { ...bucket, bucket: 'canary-bucket', secretAccessKey: { env: 'S3_SECRET' } };
  backends['refused'] = { ...bucket, bucket: 'other-bucket', secretAccessKey: { env: 'WRONG_S3_SECRET' } };
  keys['ops'] = { type: 'aes-256', key: { env: 'OPS_KEY' } };
  const shop = sources['shop'];
  assert.ok(shop?.database && plans['shop']);
  const database = { ...shop.database, user: role };
  sources['shop'] = { ...shop, database: { ...database, password: { env: 'SHOP_DB_PASSWORD' } } };
  sources['locked'] = { database: { ...database, password: { env: 'WRONG_PASSWORD' } } };
  plans['shop'] = { ...plans['shop'], jobs: 2 };
  plans['locked'] = { ...plans['shop'], source: 'locked' };
  await app.save();
  worker = await app.startWorker({ arguments: ['--verbose'] });
});

test('the search finds what it is to find', async () => {
  assert.deepEqual(found('row', await runProgram(app.database, 'pg_dump', [])), ['row']);
  assert.deepEqual(found('environment', await readFile(`/proc/${worker.pid}/environ`)), ['environment']);
  for (const bytes of searched) assert.deepEqual(found('it', Buffer.concat([randomBytes(9), bytes])), ['it']);
  assert.deepEqual(found('nothing', randomBytes(1000)), []);
});

test('[38] no secret and no row in arguments, environments, logs, histories, temporary files, catalog and objects', async (t) => {
  const children = watchChildren(t, worker.pid);
  const running = app.start('--verbose', 'backup', 'shop', '--backend', 'local', 'far', 'refused');
  const dump = await haltDumps(worker, async () => (await app.spooledBytes()) > 0);
  const whileRunning = await filesBelow(app.spool, app.temporary);
  const client = await app.temporal();
  const degradedRun = workflowIn(running.output.stderr);
  const described = await until('heartbeat details', async () => {
    const description = await decodedDescription(client, degradedRun);
    return description.includes('originalBytes') ? description : undefined;
  });
  dump.signal('SIGCONT');
  const degraded = await running.ended;
  const failed = await app.holdfast('--verbose', 'backup', 'locked');
  const seen = await children.end();

  assert.equal(degraded.code, 3, degraded.stdout + degraded.stderr);
  assert.equal(failed.code, 1, failed.stderr);
  for (const { stdout, stderr } of [degraded, failed]) assert.deepEqual(found('output', stdout + stderr), []);

  for (const name of ['pg_dump', 'tar', 'pg_restore']) {
    assert.ok(
      seen.some((child) => child.name === name),
      `${name} was not seen running`,
    );
  }
  assert.ok(seen.some(({ environment }) => environment.includes(`PGUSER=${role}`)));
  for (const { name, arguments: args, environment } of seen) {
    assert.deepEqual([...found(`arguments of ${name}`, args), ...found(`environment of ${name}`, environment)], []);
  }

  assert.ok(whileRunning.some(({ path }) => path.endsWith('.segment') || path.endsWith('journal.jsonl')));
  const exposed = whileRunning.filter(({ bytes }) => found('file', bytes).length > 0);
  assert.deepEqual(
    exposed.map(({ path }) => basename(path)),
    ['pgpass'],
  );
  for (const { mode, directoryMode } of exposed) assert.deepEqual([mode & 0o077, directoryMode & 0o077], [0, 0]);
  for (const { path, bytes } of await filesBelow(app.spool, app.temporary)) assert.deepEqual(found(path, bytes), []);

  const log = await worker.log();
  assert.ok(log.length > 1_000);
  assert.deepEqual(found('log', log), []);
  for (const said of ['Workflow failed', 'Activity failed'])
    assert.match(log, new RegExp(`"error":\\{"type":"\\w+","message":"[^"]+.*"msg":"${said}"`));

  const failedRun = workflowIn(failed.stderr);
  for (const [run, telling] of [
    [degradedRun, 'refused'],
    [failedRun, 'SourceRefused'],
  ] as const) {
    const history = await decodedHistory(client, run);
    assert.ok(history.includes(telling) && history.includes(app.settings.temporal.taskQueue));
    assert.deepEqual(found(`history of ${run}`, history), []);
  }
  assert.deepEqual(found('description', described), []);

  const catalog = await runProgram(app.catalogDatabase, 'pg_dump', []);
  assert.match(catalog, /SourceRefused/);
  assert.deepEqual(found('catalog', catalog), []);

  for (const store of [app.stores.local, secretStore]) {
    const objects = await store.objects();
    assert.equal(objects.size, 8);
    for (const [key, bytes] of objects) assert.deepEqual(found(key, bytes), []);
  }
});

/** `[where]` when one of the secrets is in it. */
function found(where: string, content: string | Buffer): string[] {
  const bytes = Buffer.from(content);
  return searched.some((secret) => bytes.includes(secret)) ? [where] : [];
}

/** Looks at all children of a process again and again until told to end. */
function watchChildren(t: TestContext, pid: number): { end(): Promise<SeenProcess[]> } {
  const seen = new Map<string, SeenProcess>();
  const stop = new AbortController();
  const loop = (async () => {
    while (!stop.signal.aborted) {
      for (const child of await descendantsOf(pid)) seen.set(`${child.pid} ${child.arguments}`, child);
      await sleep(5);
    }
  })();
  const end = async () => {
    stop.abort();
    await loop;
    return [...seen.values()];
  };
  t.after(end);
  return { end };
}

function workflowIn(stderr: string): string {
  const [, workflowId] = /(backup-\S+) runs/.exec(stderr) ?? [];
  assert.ok(workflowId, stderr);
  return workflowId;
}

async function filesBelow(...directories: string[]) {
  const entries = await Promise.all(
    directories.map((directory) => readdir(directory, { recursive: true, withFileTypes: true })),
  );
  const files = entries.flat().filter((entry) => entry.isFile());
  return Promise.all(
    files.map(async ({ parentPath, name }) => {
      const path = join(parentPath, name);
      const [bytes, { mode }, directory] = await Promise.all([readFile(path), stat(path), stat(parentPath)]);
      return { path, bytes, mode, directoryMode: directory.mode };
    }),
  );
}
