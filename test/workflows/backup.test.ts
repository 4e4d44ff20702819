import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import type { BackupResult } from '../../core/backup/run.ts';
import { findBackup, listVerifications } from '../../core/catalog/read.ts';
import { fixtureSql, runProgram, runSql } from '../core/postgres/support.ts';
import { createApplication, type Application } from '../support/application.ts';
import { databaseContents, treeContents } from '../support/contents.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { fileScope } from '../support/fileScope.ts';
import { createDatabase } from '../support/servers.ts';

/** Backups that go well, end to end: the command line, a worker of its own, three storages. */

const scope = fileScope();
let app: Application;

before(async () => {
  app = await createApplication(scope);
  await runSql(app.database, await fixtureSql());
  await mkdir(join(app.trees.media, 'empty'));
  await writeFile(join(app.trees.media, 'photo "ö\n.jpg'), Buffer.alloc(300_000, 'jpg'));
  await symlink('photo', join(app.trees.media, 'link'));
  await writeFile(join(app.trees.config, '.env'), 'DEBUG=0\n');
  app.settings.plans = {
    ...app.settings.plans,
    parallel: {
      source: 'shop',
      kind: 'database',
      backends: ['local', 'near', 'far'],
      copies: { required: 3 },
      encryptTo: ['ops'],
      jobs: 2,
      compression: { type: 'gzip', level: 1 },
    },
  };
  await app.save();
  await app.startWorker();
});

const PARTS = {
  full: ['config', 'database', 'globals', 'inventory', 'media', 'schema'],
  database: ['database', 'globals', 'inventory', 'schema'],
  media: ['media'],
  config: ['config'],
} as const;

for (const kind of ['full', 'database', 'media', 'config'] as const) {
  test(`a backup of the kind ${kind} is verified on every backend, cataloged, and leaves nothing in the spool`, async () => {
    const { code, document, stderr } = await app.backup('shop', '--plan', 'shop', '--kind', kind, '--tier', 'weekly');
    assert.equal(code, 0, JSON.stringify(document, undefined, 2) + stderr);
    assert.equal(document.state, 'verified');
    assert.deepEqual(document.parts.map(({ part }) => part).toSorted(), PARTS[kind]);
    await assertStoredEverywhere(document);
    await assertCataloged(document);
    assert.deepEqual(await app.leftBehind(), []);
  });
}

test('the result as a JSON document: verdict, parts with sizes and hashes, copies with times', async () => {
  const { document } = await app.backup('shop', '--plan', 'shop');
  const { workflowId, runId, link, error, ...result } = document;
  assert.equal(error, undefined);
  assert.match(workflowId, /^backup-shop-\d{8}T\d{6}Z-[0-9a-f]{4}$/);
  assert.ok(link.endsWith(`/namespaces/default/workflows/${workflowId}/${runId}`));
  assert.match(result.id, /^\d{8}T\d{6}Z-[0-9a-z]{6}$/);
  const { id: _id, startedAt, duration, parts, copies, warnings, ...rest } = result;
  assert.deepEqual(rest, {
    source: 'shop',
    plan: 'shop',
    kind: 'full',
    tier: 'manual',
    state: 'verified',
    reasons: [],
    requiredCopies: 2,
    catalog: 'recorded',
  });
  // An old pg_dump on the machine warns too.
  assert.ok(warnings.some((warning) => warning.startsWith('rows of 1 foreign tables are not in the dump')));
  assert.ok(Math.abs(Date.now() - Date.parse(startedAt)) < 60_000 && duration > 0 && duration < 60_000);
  assert.deepEqual(
    copies.map(({ backend, state }) => [backend, state]),
    [
      ['local', 'verified'],
      ['near', 'verified'],
      ['far', 'verified'],
    ],
  );
  assert.equal(copies.filter(({ opened }) => opened).length, 1);
  const stored = parts.reduce((sum, part) => sum + part.storedBytes, 0);
  for (const { bytes, uploadDuration = -1, verifyDuration = -1 } of copies) {
    assert.equal(bytes, stored);
    assert.ok(uploadDuration >= 0 && verifyDuration >= 0);
  }
  const database = parts.find(({ part }) => part === 'database');
  assert.ok(
    database && database.originalBytes > database.compressedBytes && database.storedBytes > database.compressedBytes,
  );
});

test('for people the result is a table of parts and copies, with progress as lines on standard error', async () => {
  const { code, stdout, stderr } = await app.holdfast('backup', 'shop', '--plan', 'shop', '--kind', 'media');
  assert.equal(code, 0);
  assert.match(stdout, /^Backup \S+ of shop \(media, manual\): verified, 3 of 3 copies/);
  assert.match(stdout, /media +\d.* [0-9a-f]{16}$/m);
  for (const backend of ['local', 'near', 'far'])
    assert.match(stdout, new RegExp(`^${backend} +verified +(opened|stored)`, 'm'));
  assert.match(stderr, /backup-shop-\S+ runs: http/);
});

for (const plan of ['shop', 'parallel']) {
  test(`what plan ${plan} backed up, restored by plain pg_restore, equals the source`, async (t) => {
    const { document } = await app.backup('shop', '--plan', plan);
    assert.equal(document.state, 'verified');
    const directory = await temporaryDirectory(t);
    const rows = document.parts.map(({ part }) => part).filter((part) => part.startsWith('rows-'));
    assert.equal(rows.length > 0, plan === 'parallel');
    for (const part of ['database', ...rows]) await extract(document.id, part, join(directory, part));
    const restored = await createDatabase(t);
    const restore = (part: string, ...args: string[]) =>
      runProgram(restored, 'pg_restore', ['-d', restored.name, '--exit-on-error', ...args, join(directory, part)]);
    await restore('database', '--section=pre-data', '--section=data');
    for (const part of rows) await restore(part, '--section=data');
    await restore('database', '--section=post-data');
    assert.deepEqual(await databaseContents(restored), await databaseContents(app.database));
  });
}

test('the files extracted equal the tree', async (t) => {
  const { document } = await app.backup('shop', '--plan', 'shop', '--kind', 'media');
  const directory = await temporaryDirectory(t);
  await extract(document.id, 'media', join(directory, 'media'), '--as', 'files');
  assert.deepEqual(await treeContents(join(directory, 'media')), await treeContents(app.trees.media));
});

async function extract(id: string, part: string, output: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await app.holdfast('extract', id, '--part', part, '-o', output, ...args);
  assert.equal(code, 0, stderr);
}

/** The same objects, byte for byte, with the hashes that the result names, and nothing else of this run. */
async function assertStoredEverywhere({ id, source, tier, parts }: BackupResult): Promise<void> {
  const of = (objects: Map<string, Buffer>) =>
    [...objects]
      .filter(([key]) => key.startsWith(`${source}/${tier}/${id}/`))
      .map(([key, bytes]) => [key, sha256(bytes)] as const);
  const copies = await Promise.all(Object.values(app.stores).map(async (store) => of(await store.objects())));
  const [local = [], near, far] = copies;
  assert.deepEqual(near, local);
  assert.deepEqual(far, local);
  assert.deepEqual(
    local
      .filter(([key]) => !key.endsWith('/manifest.json'))
      .map(([, hash]) => hash)
      .toSorted(),
    parts.flatMap(({ objects }) => objects.map((object) => object.sha256)).toSorted(),
  );
  assert.equal(local.length, parts.length + 1);
  for (const store of Object.values(app.stores)) assert.deepEqual(await store.leftovers(), []);
}

async function assertCataloged({ id, kind, tier }: BackupResult): Promise<void> {
  await app.useCatalog(async (catalog) => {
    const backup = await findBackup(catalog, id);
    assert.equal(backup.state, 'verified');
    assert.deepEqual([backup.kind, backup.tier, backup.plan, backup.problem], [kind, tier, 'shop', undefined]);
    assert.deepEqual(backup.copies.map(({ backend, state }) => `${backend} ${state}`).toSorted(), [
      'far verified',
      'local verified',
      'near verified',
    ]);
    const looks = await listVerifications(catalog, id);
    assert.deepEqual(looks.map(({ depth, outcome }) => `${depth} ${outcome}`).toSorted(), [
      'opened passed',
      'stored passed',
      'stored passed',
    ]);
  });
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
