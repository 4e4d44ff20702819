import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Recovery } from '../../../client/recover/recover.ts';
import type { ErrorReport } from '../../../client/terminal.ts';
import { objectKey } from '../../../core/repository/layout.ts';
import { locationOf } from '../../../core/repository/location.ts';
import type { Manifest } from '../../../core/repository/manifest.ts';
import type { PassedOver } from '../../../core/restore/run.ts';
import { openS3Backend } from '../../../core/storage/s3.ts';
import { freePort } from '../../../core/tools/freePort.ts';
import { fingerprint, shell } from '../../core/files/trees.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { s3Settings } from '../../support/s3Settings.ts';
import { createBucket, testPostgres } from '../../support/servers.ts';
import { newIn, run, serverUrl, start, storedShop } from './recovering.ts';

/** What `recover` does where several storages are named. */

type Answer = Recovery & { state: string; passedOver: readonly PassedOver[]; error?: ErrorReport };

/** Changes one byte in the middle of a part. */
async function damage(copies: string, manifest: Manifest, part: string): Promise<void> {
  const name = manifest.parts.find((each) => each.part === part)?.objects[0]?.name ?? '';
  const file = join(copies, objectKey(locationOf(manifest), name));
  const bytes = await readFile(file);
  const middle = Math.floor(bytes.length / 2);
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  await writeFile(file, bytes);
}

test('[16] [19] [25] a damaged copy and storages out of reach are passed over, told and listed; a good one is taken', async (context) => {
  const { home, copies, tree, target, manifest } = await storedShop(context);
  const settings = s3Settings(await createBucket(context));
  const backend = openS3Backend('bucket', settings);
  context.after(async () => backend.close());
  for (const key of shell(copies, 'find . -type f -printf "%P\\n"').trim().split('\n'))
    await backend.put(key, await readFile(join(copies, key)));
  await damage(copies, manifest, 'database');
  await damage(copies, manifest, 'media');
  const away = `http://127.0.0.1:${await freePort()}`;
  const lost = ['--local', join(home, 'not-mounted'), '--s3-bucket', 'away', '--s3-endpoint', away];
  const found = ['--s3-bucket', settings.bucket, '--s3-endpoint', settings.endpoint ?? '', '--s3-profile', 'shop'];
  const keys = ['--verify-key', join(home, 'sign.pub.pem'), '--key', join(home, 'ops.key')];
  const to = ['--database-url', serverUrl(), '--target', target.name, '--into', `media=${join(home, 'new')}`];
  const args = ['latest', '--source', 'shop', ...lost, '--local', copies, ...found, ...keys, ...to, '--json'];
  const profile = `[shop]\naws_access_key_id=${settings.accessKeyId}\naws_secret_access_key=${settings.secretAccessKey}\n`;
  await writeFile(join(home, 'profiles.key'), profile, { mode: 0o600 });
  const environment = {
    PGPASSWORD: testPostgres().password,
    AWS_SHARED_CREDENTIALS_FILE: join(home, 'profiles.key'),
    AWS_ACCESS_KEY_ID: 'of another service',
    AWS_SECRET_ACCESS_KEY: 'of another service',
  };
  const { code, stdout, stderr } = await run(home, args, environment);
  // There is nobody who knows what lies on the two that do not answer: the newest may.
  assert.equal(code, 3, stderr + stdout);
  const answer = JSON.parse(stdout) as Answer;
  assert.deepEqual(
    answer.newer.map((line) => / (\S+) has a newer one is not known/.exec(line)?.[1]),
    [join(home, 'not-mounted'), 's3://away'],
  );
  const bucket = `s3://${settings.bucket}`;
  assert.deepEqual(
    [answer.state, answer.database?.backend, answer.trees[0]?.restored.backend],
    ['degraded', bucket, bucket],
  );
  assert.equal(answer.database?.reconciliation.equal, true);
  assert.equal(fingerprint(join(home, 'new')), fingerprint(tree));
  const passed = [...new Set(answer.passedOver.map((each) => each.backend))].toSorted();
  assert.deepEqual(passed, [copies, join(home, 'not-mounted'), 's3://away'].toSorted());
  assert.match(answer.passedOver.find((each) => each.backend === 's3://away')?.reason ?? '', /ECONNREFUSED/);
  for (const name of passed) assert.match(stderr, new RegExp(`${name} is passed over: `));
  assert.doesNotMatch(stderr, /Multiple credential sources/);
});

test('where no storage can be asked, or none has the backup, that is the end', async (context) => {
  const { home, copies, manifest } = await storedShop(context);
  const keys = ['--verify-key', join(home, 'sign.pub.pem'), '--key', join(home, 'ops.key')];
  const into = ['--into', join(home, 'new')];
  const nowhere = ['--local', join(home, 'a'), '--local', join(home, 'b')];
  const away = await run(home, [manifest.id, ...nowhere, ...keys, ...into]);
  assert.equal(away.code, 1, away.stderr);
  assert.match(away.stderr, /a.* does not exist/);
  const other = await run(home, ['20991231T', '--local', join(home, 'a'), '--local', copies, ...keys, ...into]);
  assert.equal(other.code, 2, other.stderr);
  const cases: (readonly [readonly string[], RegExp])[] = [
    [[], /No storage was named/],
    [['--s3-endpoint', 'http://127.0.0.1:1'], /none is named/],
    [['--local', copies, '--s3-bucket', 'shop'], /region is missing/],
    [['--local', copies, '--s3-bucket', 'shop', '--s3-endpoint', 'shop.example.com'], /is no address/],
  ];
  for (const [storages, message] of cases) {
    const ended = await run(home, [manifest.id, ...storages, ...keys, ...into]);
    assert.equal(ended.code, 2, ended.stderr);
    assert.match(ended.stderr, message);
  }
  assert.deepEqual(await newIn(home), []);
});

test('[16] a part is extracted from the copy that is good', async (context) => {
  const { home, copies, manifest } = await storedShop(context);
  const second = await temporaryDirectory(context);
  shell(copies, `cp -a . ${second}`);
  await damage(copies, manifest, 'media');
  const storages = ['--local', join(home, 'away'), '--local', copies, '--local', second];
  const keys = ['--verify-key', join(home, 'sign.pub.pem'), '--key', join(home, 'ops.key')];
  const part = ['--part', 'media', '-o', join(home, 'media.tar')];
  const { code, stdout, stderr } = await start(home, [manifest.id, ...storages, ...keys, ...part], {}, 'extract').ended;
  assert.equal(code, 3, stderr);
  assert.match(stdout, new RegExp(`media of ${manifest.id} from ${second} `));
  assert.match(stderr, /away could not be asked/);
  assert.match(stderr, new RegExp(`the copy on ${copies} is passed over`));
});

test('several storages are listed at once, and one that cannot be read is told in its place', async (context) => {
  const { home, copies, manifest } = await storedShop(context);
  const second = await temporaryDirectory(context);
  shell(copies, `cp -a . ${second}`);
  const key = ['--verify-key', join(home, 'sign.pub.pem')];
  const list = (...storages: string[]) => start(home, [...storages, ...key, '--json'], {}, 'list').ended;
  const both = await list('--local', copies, '--local', second);
  assert.equal(both.code, 0, both.stderr);
  const { storages } = JSON.parse(both.stdout) as {
    storages: { backend: string; backups: { manifest: Manifest }[] }[];
  };
  assert.deepEqual(
    storages.map(({ backend, backups }) => [backend, backups.map((backup) => backup.manifest.id)]),
    [copies, second].map((backend) => [backend, [manifest.id]]),
  );
  const away = await list('--local', join(home, 'away'), '--local', second);
  assert.equal(away.code, 3, away.stderr);
  const told = JSON.parse(away.stdout) as { storages: { backend: string; error?: ErrorReport }[] };
  assert.match(told.storages[0]?.error?.message ?? '', /away does not exist/);
  assert.equal(told.storages[1]?.error, undefined);
  assert.equal((await list('--local', join(home, 'away'), '--local', join(home, 'gone'))).code, 1);
});
