import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { stringify } from 'yaml';
import { withCatalog } from '../../../core/catalog/catalog.ts';
import { migrateCatalog } from '../../../core/catalog/migrate.ts';
import { recordBackup } from '../../../core/catalog/write.ts';
import { readProcess } from '../../../core/process/childProcess.ts';
import { manifestKey, objectKey } from '../../../core/repository/layout.ts';
import { locationOf } from '../../../core/repository/location.ts';
import type { Manifest } from '../../../core/repository/manifest.ts';
import { openLocalBackend } from '../../../core/storage/local.ts';
import { openS3Backend } from '../../../core/storage/s3.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { createBucket, createDatabase, testPostgres, testS3, testTemporal } from '../../support/servers.ts';
import {
  archiveDirectory,
  dumpDatabase,
  GLOBALS_SQL,
  storeBackup,
  writeBackupKeys,
  type PlainPart,
} from '../../core/repository/storedBackup.ts';
import { holdfastInto } from '../../support/commandLine.ts';
import { lastFirst, noMounts } from '../../support/smallDisk.ts';
import { archiveTree, python, requiredTar, treeConfiguration } from '../../core/files/trees.ts';
import { holdfast } from '../commandLine.ts';

/** A directory and a bucket with one backup each, cataloged, and the configuration that names them all. */
async function installation(t: TestContext) {
  const home = await temporaryDirectory(t);
  const copies = await temporaryDirectory(t);
  const tree = await temporaryDirectory(t);
  const bucket = await createBucket(t);
  const database = await createDatabase(t);
  const catalogDatabase = await createDatabase(t);
  const keys = await writeBackupKeys(home);
  await writeFile(join(tree, 'photo.jpg'), randomBytes(200_000));
  const s3 = testS3();
  const url = `postgresql://${catalogDatabase.user}:${encodeURIComponent(catalogDatabase.password)}@${catalogDatabase.host}:${catalogDatabase.port}/${catalogDatabase.name}`;
  const secrets = {
    'catalog.url': url,
    'database.password': database.password,
    's3.secret': s3.secretAccessKey,
    's3.id': s3.accessKeyId,
  };
  for (const [file, text] of Object.entries(secrets)) await writeFile(join(home, file), text, { mode: 0o600 });
  const local = openLocalBackend('local', { type: 'local', path: copies });
  const remote = openS3Backend('remote', {
    type: 's3',
    provider: 'generic',
    bucket,
    prefix: 'prod',
    concurrency: 2,
    requestTimeout: 10_000,
    ...s3,
  });
  t.after(() => remote.close());
  const configuration = {
    catalog: { url: { file: join(home, 'catalog.url') } },
    temporal: { address: testTemporal().address },
    spool: { path: join(home, 'spool'), limit: '64MiB' },
    keys: {
      ops: { type: 'aes-256', key: { file: join(home, 'ops.key') } },
      sign: { type: 'ed25519', privateKey: { file: join(home, 'sign.pem') } },
    },
    backends: {
      remote: {
        type: 's3',
        bucket,
        prefix: 'prod',
        endpoint: s3.endpoint,
        region: s3.region,
        accessKeyId: { file: join(home, 's3.id') },
        secretAccessKey: { file: join(home, 's3.secret') },
      },
      local: { type: 'local', path: copies },
    },
    sources: {
      shop: {
        database: {
          host: database.host,
          port: database.port,
          name: database.name,
          user: database.user,
          password: { file: join(home, 'database.password') },
        },
        files: { media: { path: tree } },
      },
    },
    plans: { 'shop-daily': { source: 'shop', backends: ['local', 'remote'], encryptTo: ['ops'] } },
  };
  const config = join(home, 'holdfast.yaml');
  await writeFile(config, stringify(configuration));
  const parts: PlainPart[] = [
    { part: 'database', format: 'pg_dump-custom', bytes: await dumpDatabase(database) },
    { part: 'globals', format: 'sql', bytes: GLOBALS_SQL },
    { part: 'media', format: 'tar', ...(await archiveDirectory(tree)) },
  ];
  const manifest = await storeBackup([local, remote], keys, parts);
  await withCatalog(url, async (catalog) => {
    await migrateCatalog(catalog);
    await recordBackup(catalog, {
      ...manifest,
      state: 'verified',
      requiredCopies: 1,
      endedAt: manifest.sealedAt,
      manifest,
      manifestSha256: 'a'.repeat(64),
      copies: ['local', 'remote'].map((backend) => ({ backend, state: 'verified' })),
    });
    await recordBackup(catalog, {
      id: '20261121T020000Z-failed',
      source: 'shop',
      kind: 'full',
      tier: 'daily',
      state: 'failed',
      requiredCopies: 1,
      startedAt: '2026-11-21T02:00:00.000Z',
      endedAt: '2026-11-21T02:00:01.000Z',
      problem: { type: 'SourceUnreachable', message: 'db:5432 does not answer' },
      copies: [],
    });
  });
  const pathOf = (object: string) => join(copies, objectKey(locationOf(manifest), object));
  return { home, config, configuration, copies, local, bucket, keys, parts, manifest, pathOf, tree };
}

function dumpOf(parts: readonly PlainPart[], name = 'database'): Buffer {
  const part = parts.find((each) => each.part === name);
  assert.ok(part);
  return part.bytes;
}

test('list and show: from the catalog with failed runs, and from a storage without a catalog', async (t) => {
  const { config, home, manifest, local } = await installation(t);
  const listed = await holdfast('--config', config, 'list', 'shop');
  assert.equal(listed.exitCode, 0, listed.stderr);
  assert.match(listed.stdout, new RegExp(`${manifest.id} .*verified.*local verified, remote verified`));
  assert.match(listed.stdout, /20261121T020000Z-failed failed: db:5432 does not answer/);
  const json = JSON.parse((await holdfast('--config', config, '--json', 'list')).stdout) as { backups: Manifest[] };
  assert.deepEqual(
    json.backups.map((backup) => backup.id),
    ['20261121T020000Z-failed', manifest.id],
  );
  assert.equal((await holdfast('--config', config, 'list', 'shpo')).exitCode, 2);

  const shown = await holdfast('--config', config, 'show', manifest.id.slice(0, 12));
  assert.equal(shown.exitCode, 0, shown.stderr);
  for (const expected of [manifest.parts[0]?.sha256 ?? '', 'shop-daily', 'SECRET_KEY', 'remote', 'media']) {
    assert.ok(shown.stdout.includes(expected), expected);
  }
  const missed = await holdfast('--config', config, 'show', `${manifest.id.slice(0, -1)}x`);
  assert.equal(missed.exitCode, 2);
  assert.match(missed.stderr, new RegExp(`Did you mean one of: ${manifest.id}`));

  await writeFile(join(home, 'catalog.url'), 'postgresql://x:y@127.0.0.1:1/none');
  assert.equal((await holdfast('--config', config, 'list')).exitCode, 1);
  await local.put(manifestKey({ ...locationOf(manifest), backup: '20200101T000000Z-broken' }), Buffer.from('{}'));
  const direct = await holdfast('--config', config, 'list', '--backend', 'local');
  assert.equal(direct.exitCode, 3, 'a damaged manifest needs somebody');
  assert.match(direct.stdout, new RegExp(`${manifest.id} .*stored`));
  assert.match(direct.stdout, /20200101T000000Z-broken\/manifest.json/);
  const seen = await holdfast('--config', config, 'show', manifest.id, '--backend', 'remote');
  assert.equal(seen.exitCode, 0, seen.stderr);
});

test('extract: every form of every part, byte for byte, never over something that is there', async (t) => {
  const { config, home, parts, manifest, tree } = await installation(t);
  const extract = (...args: string[]) => holdfast('--config', config, 'extract', manifest.id, ...args);
  const dump = join(home, 'shop.dump');
  const done = await extract('--part', 'database', '--as', 'dump', '-o', dump);
  assert.equal(done.exitCode, 0, done.stderr);
  assert.ok((await readFile(dump)).equals(dumpOf(parts)));
  assert.equal((await stat(dump)).mode & 0o777, 0o600);

  const again = await extract('--part', 'database', '-o', dump);
  assert.equal(again.exitCode, 4);
  assert.match(again.stderr, /exists already/);

  const sql = await extract('--part', 'database', '--as', 'sql', '-o', '-');
  assert.equal(sql.exitCode, 0, sql.stderr);
  assert.match(sql.stdout, /COPY public\.orders/);
  assert.match(sql.stdout, /PostgreSQL database dump complete/);

  const globals = await extract('--part', 'globals', '-o', '-');
  assert.ok(globals.bytes.equals(GLOBALS_SQL));
  assert.match(globals.stderr, /verified/);

  assert.equal((await extract('--part', 'media', '--as', 'files', '-o', join(home, 'media'))).exitCode, 0);
  const [original, unpacked] = await Promise.all(
    [tree, join(home, 'media')].map((directory) => readFile(join(directory, 'photo.jpg'))),
  );
  assert.ok(original && unpacked?.equals(original));

  const wrongForm = await extract('--part', 'media', '--as', 'sql', '-o', join(home, 'x'));
  assert.equal(wrongForm.exitCode, 2);
  assert.match(wrongForm.stderr, /tar or files/);
  assert.equal((await extract('--part', 'nothing', '-o', join(home, 'x'))).exitCode, 2);
  assert.deepEqual(
    (await readdir(home)).filter((name) => name.includes('partial') || name === 'x'),
    [],
  );
});

test('extract of a tree tells the attributes that could not be set, and is degraded', { skip: noMounts }, async (t) => {
  const { home, keys, local, copies } = await installation(t);
  const scope = lastFirst(t);
  const [tree, into] = [await temporaryDirectory(scope), await temporaryDirectory(scope)];
  python(tree, `import os\nopen('file', 'w').close()\nos.setxattr('file', 'user.kept', b'1')`);
  const { archive } = await archiveTree(treeConfiguration(tree), { tar: await requiredTar() });
  const part: PlainPart = { part: 'media', format: 'tar', ...(await archiveDirectory(tree)), bytes: archive };
  const { id } = await storeBackup([local], keys, [part], { id: '20261122T020000Z-zzzzzz' });
  const key = ['--local', copies, '--key', join(home, 'ops.key'), '--verify-key', join(home, 'sign.pub.pem')];
  const extract = (output: string) =>
    holdfast('recover', 'extract', id, ...key, '--part', 'media', '--as', 'files', '-o', output);
  const whole = await extract(join(home, 'whole'));
  assert.equal(whole.exitCode, 0, whole.stderr);
  // Nobody has compared what stands there.
  assert.doesNotMatch(whole.stdout, /, verified/);
  // A file system without any extended attributes.
  execFileSync('mount', ['-t', 'ramfs', 'ramfs', into]);
  scope.after(async () => void execFileSync('umount', ['-l', into]));
  const degraded = await extract(join(into, 'media'));
  assert.equal(degraded.exitCode, 3, degraded.stderr);
  assert.match(degraded.stderr, /warning: 1 attribute .*could not be set here: file: user\.kept\. .*--as tar/);
});

test('[16] extract passes over a bad copy and says so; with no good one it leaves nothing', async (t) => {
  const { config, home, parts, manifest, pathOf } = await installation(t);
  await truncate(pathOf('database.dump.zst.enc'), 5_000);
  const dump = join(home, 'shop.dump');
  const done = await holdfast('--config', config, 'extract', manifest.id, '-o', dump);
  assert.equal(done.exitCode, 3, done.stderr);
  assert.match(done.stderr, /the copy on local is passed over: .*database\.dump\.zst\.enc is cut/);
  assert.ok((await readFile(dump)).equals(dumpOf(parts)));

  for (const form of ['dump', 'sql']) {
    const only = await holdfast(
      '--config',
      config,
      'extract',
      manifest.id,
      '--backend',
      'local',
      '--as',
      form,
      '-o',
      join(home, 'y'),
    );
    assert.equal(only.exitCode, 1);
    assert.match(only.stderr, /is cut/);
  }
  assert.deepEqual(
    (await readdir(home)).filter((name) => name.startsWith('y')),
    [],
  );
});

test('extract says what to give in the place of latest', async (t) => {
  const { home, config, copies, manifest } = await installation(t);
  const output = ['-o', join(home, 'x')];
  const key = ['--local', copies, '--key', join(home, 'ops.key'), '--verify-key', join(home, 'sign.pub.pem')];
  for (const command of [
    ['--config', config, 'extract', 'latest', ...output],
    ['recover', 'extract', 'latest', ...key, ...output],
  ]) {
    const { exitCode, stderr } = await holdfast(...command);
    assert.equal(exitCode, 2, stderr);
    assert.match(stderr, new RegExp(`Only restores take .latest.[^]*hint: The newest are: .*${manifest.id}`));
  }
});

test('extract and restore into a full device end with one error and what to do about it', async (t) => {
  const { home, config, copies, manifest } = await installation(t);
  const key = ['--local', copies, '--key', join(home, 'ops.key'), '--verify-key', join(home, 'sign.pub.pem')];
  for (const args of [
    ['--config', config, 'extract', manifest.id, '--part', 'media'],
    ['recover', 'extract', manifest.id, '--part', 'media', ...key],
    ['recover', 'extract', manifest.id, '--part', 'globals', ...key],
  ]) {
    const { code, stderr } = await holdfastInto('/dev/full', [...args, '-o', '-']);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^holdfast: error: [^\n]*no room is left[^\n]*ENOSPC[^\n]*\nholdfast: hint: [^\n]+\n$/m);
    assert.equal(stderr.match(/ENOSPC/g)?.length, 1, stderr);
    assert.doesNotMatch(stderr, /\n\s+at |verified/);
  }
  const into = ['--into', `media=${join(home, 'restored')}`];
  const restored = await holdfastInto('/dev/full', ['recover', 'restore', manifest.id, ...key, ...into, '--json']);
  assert.equal(restored.code, 1, restored.stderr);
  assert.match(
    restored.stderr,
    /error: The answer could not be written.*ENOSPC.*\n.*what the command itself did is done/,
  );
  // It is only the answer that was lost.
  assert.deepEqual(await readdir(join(home, 'restored')), ['photo.jpg']);
});

test('extract finds a backup on the backends when the catalog is gone', async (t) => {
  const { config, home, parts, manifest } = await installation(t);
  await writeFile(join(home, 'catalog.url'), 'postgresql://x:y@127.0.0.1:1/none');
  const dump = join(home, 'shop.dump');
  const done = await holdfast('--config', config, 'extract', manifest.id.slice(0, 11), '-o', dump);
  assert.equal(done.exitCode, 0, done.stderr);
  assert.match(done.stderr, /looking on the backends themselves/);
  assert.ok((await readFile(dump)).equals(dumpOf(parts)));
});

test('[25] recover lists and extracts with a storage and a key alone, from a directory and from a bucket', async (t) => {
  const { home, copies, bucket, parts, manifest } = await installation(t);
  const empty = await temporaryDirectory(t);
  const { endpoint, region, accessKeyId, secretAccessKey } = testS3();
  // A process of its own with nothing but the credentials: no configuration, no catalog, no Temporal within reach.
  const recover = (...args: string[]) =>
    readProcess({
      command: process.execPath,
      args: [new URL('../../../client/bin.js', import.meta.url).pathname, 'recover', ...args],
      workingDirectory: empty,
      environment: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, HOME: empty },
    });
  const storages = [
    ['--local', copies],
    ['--s3-bucket', bucket, '--s3-endpoint', endpoint, '--s3-region', region, '--s3-prefix', 'prod'],
  ];
  for (const [index, storage] of storages.entries()) {
    const listed = await recover('list', ...storage, '--verify-key', join(home, 'sign.pub.pem'));
    assert.match(listed, new RegExp(manifest.id));
    await assert.rejects(recover('list', 'shpo', ...storage), /code 2.*no backup of shpo there.*lies there is shop/s);
    const dump = join(empty, `${index}.dump`);
    await recover('extract', manifest.id, ...storage, '--key', join(home, 'ops.key'), '-o', dump);
    assert.ok((await readFile(dump)).equals(dumpOf(parts)));
  }
  const both = storages.flat();
  const together = await recover('list', ...both, '--verify-key', join(home, 'sign.pub.pem'));
  assert.equal(together.split(manifest.id).length, 3, together);
  const bare = await temporaryDirectory(t);
  await assert.rejects(recover('list', '--local', bare, '--local', empty), /code 2.*There is no backup there/s);
  await assert.rejects(recover('list', '--local', bare), /code 2.*There is no backup there.*nothing lies there/s);
  for (const name of ['ops.key', 'sign.pem']) await writeFile(join(bare, name), '');
  await assert.rejects(recover('list', '--local', bare), /there are only files: ops\.key, sign\.pem\./);
  // Node keeps compiled code in the cache directory; nothing of a backup goes there.
  const left = (await readdir(empty)).filter((name) => name !== '.cache');
  assert.deepEqual(left.toSorted(), ['0.dump', '1.dump']);
  const { binDirectory } = testPostgres();
  const sql = await readProcess({
    command: join(binDirectory, 'pg_restore'),
    args: ['-f', '-', join(empty, '0.dump')],
  });
  assert.match(sql, /COPY public\.orders/);
});

test('[23] [24] recover says loudly that it checks no signature, refuses a forged manifest, and names the key it lacks', async (t) => {
  const { home, copies, manifest, keys, local, parts } = await installation(t);
  const unchecked = await holdfast('recover', 'list', '--local', copies);
  assert.equal(unchecked.exitCode, 0, unchecked.stderr);
  assert.match(unchecked.stderr, /SIGNATURES ARE NOT CHECKED/);

  await writeFile(join(home, 'other.key'), randomBytes(32));
  const extract = (...args: string[]) =>
    holdfast('recover', 'extract', manifest.id, '--local', copies, '-o', join(home, 'z'), ...args);
  const noKey = await extract('--key', join(home, 'other.key'));
  assert.equal(noKey.exitCode, 1);
  assert.match(noKey.stderr, new RegExp(keys.aes.id));

  const key = manifestKey(locationOf(manifest));
  const good = await readFile(join(copies, key), 'utf8');
  await writeFile(join(copies, key), good.replace('"kind":"full"', '"kind":"logs"'));
  const forged = await extract('--key', join(home, 'ops.key'), '--verify-key', join(home, 'sign.pub.pem'));
  assert.equal(forged.exitCode, 1);
  assert.match(forged.stderr, /changed after/);

  const other = await storeBackup(
    [local],
    keys,
    [{ part: 'globals', format: 'sql', bytes: dumpOf(parts, 'globals') }],
    {
      id: '20261122T020000Z-zzzzzz',
    },
  );
  await writeFile(join(copies, key), await readFile(join(copies, manifestKey(locationOf(other)))));
  for (const verify of [['--verify-key', join(home, 'sign.pub.pem')], []]) {
    const swapped = await extract('--key', join(home, 'ops.key'), ...verify);
    assert.equal(swapped.exitCode, 1);
    assert.match(swapped.stderr, /20261122T020000Z-zzzzzz/);
  }
  assert.equal((await holdfast('recover', 'list')).exitCode, 2);
});

test('doctor: everything well is ok, what is not is named with what to do, and a dead thing holds up nothing', async (t) => {
  const { config, configuration, home } = await installation(t);
  const well = await holdfast('--config', config, '--json', 'doctor');
  const report = JSON.parse(well.stdout) as {
    healthy: boolean;
    findings: { state: string; subject: string; message: string; advice?: string }[];
  };
  assert.equal(well.exitCode, 0, well.stdout);
  assert.ok(report.healthy);
  const states = new Map(report.findings.map((finding) => [finding.subject, finding.state]));
  for (const subject of ['catalog', 'backend local', 'backend remote', 'source shop, media', 'key ops', 'spool']) {
    assert.ok(states.has(subject), subject);
  }
  assert.equal(states.get('temporal'), 'warning', 'the server is there, no worker listens');
  assert.ok(report.findings.some(({ message }) => /can be read whole/.test(message)));

  // 192.0.2.0/24 is for documentation (RFC 5737): nothing ever answers there.
  configuration.temporal.address = '192.0.2.1:7233';
  configuration.backends.local.path = join(home, 'nothing-here');
  configuration.backends.remote.bucket = 'no-such-bucket';
  configuration.sources.shop.database.password = { file: join(home, 's3.secret') };
  await writeFile(join(home, 'catalog.url'), 'postgresql://x:canary-password@127.0.0.1:1/none');
  await writeFile(config, stringify(configuration));
  const startedAt = performance.now();
  const ill = await holdfast('--config', config, 'doctor', '--timeout', '3');
  assert.ok(performance.now() - startedAt < 9_000);
  assert.equal(ill.exitCode, 1);
  for (const subject of ['temporal', 'catalog', 'backend local', 'backend remote', 'source shop, database']) {
    assert.match(ill.stdout, new RegExp(`failure +${subject}`), subject);
  }
  assert.match(ill.stdout, /ok +key ops/);
  assert.doesNotMatch(ill.stdout + ill.stderr, /canary/);
});
