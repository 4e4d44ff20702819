import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { PlannedRecovery, Recovery } from '../../../client/recover/recover.ts';
import { recover } from '../../../client/recover/recover.ts';
import { placeTrees, stageTree } from '../../../client/recover/trees.ts';
import { treePlaces, type RecoveryWish, type TreesWish } from '../../../client/recover/wish.ts';
import type { ErrorReport } from '../../../client/terminal.ts';
import { openLocalBackend } from '../../../core/storage/local.ts';
import { fingerprint, shell } from '../../core/files/trees.ts';
import { accessTo } from '../../core/postgres/support.ts';
import { archiveDirectory, storeBackup, type PlainPart } from '../../core/repository/storedBackup.ts';
import { onServer } from '../../core/restore/support.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { testPostgres } from '../../support/servers.ts';
import { newIn, run, serverUrl, storedShop } from './recovering.ts';

/** What `recover restore` does with file trees, and with all that a backup has at once. */

type Planned = PlannedRecovery & { state: string; error?: ErrorReport };

/** A newer backup beside the first, with a second tree whose link leads out of it. */
async function twoTrees(context: TestContext) {
  const shop = await storedShop(context);
  const config = join(await temporaryDirectory(context), 'config');
  await mkdir(config);
  shell(config, 'echo url > app.ini; mkdir secrets; echo key > secrets/key; chmod 700 secrets');
  await symlink('/etc/hostname', join(config, 'outside'));
  const backend = openLocalBackend('storage', { type: 'local', path: shop.copies });
  const parts: PlainPart[] = [...shop.plain, { part: 'config', format: 'tar', ...(await archiveDirectory(config)) }];
  const manifest = await storeBackup([backend], shop.keys, parts, {
    id: '20261122T020000Z-7f3k9q',
    startedAt: '2026-11-22T02:00:00Z',
  });
  return { ...shop, config, manifest, backend };
}

test('[25] the database and all trees come back at once; what leads out of a tree only where that is asked for', async (context) => {
  const { home, storage, target, tree, config, manifest } = await twoTrees(context);
  await mkdir(join(home, 'srv'));
  const args = ['latest', '--source', 'shop', ...storage, '--into', join(home, 'srv')];
  const database = ['--database-url', serverUrl(), '--target', target.name];
  const etc = ['--into', `config=${join(home, 'etc')}`, '--outside-links', '--json'];
  const environment = { PGPASSWORD: testPostgres().password };
  const { code, stdout, stderr } = await run(home, [...args, ...database, ...etc], environment);
  assert.equal(code, 0, stderr + stdout);
  assert.doesNotMatch(stderr, /left out/);
  const recovery = JSON.parse(stdout) as Recovery & { state: string };
  assert.deepEqual([recovery.state, recovery.backup], ['restored', manifest.id]);
  assert.deepEqual(
    recovery.trees.map((each) => [each.tree, each.targets]),
    [
      ['media', [join(home, 'srv', 'media')]],
      ['config', [join(home, 'etc')]],
    ],
  );
  assert.equal(recovery.database?.reconciliation.equal, true);
  assert.equal(fingerprint(join(home, 'srv', 'media')), fingerprint(tree));
  assert.equal(fingerprint(join(home, 'etc')), fingerprint(config));
  assert.deepEqual(await newIn(home), ['etc', 'srv']);
  assert.deepEqual(await newIn(join(home, 'srv')), ['media']);
  assert.deepEqual(
    await onServer(
      `select shobj_description(oid, 'pg_database') as it from pg_database where datname = '${target.name}'`,
    ),
    [{ it: null }],
  );
});

test('single files and folders come into a new directory, as they lie in their tree', async (context) => {
  const { home, storage, manifest } = await twoTrees(context);
  const args = [manifest.id, ...storage, '--path', 'media/photos/2026/a.jpg', '--path', 'config/secrets'];
  const { code, stderr } = await run(home, [...args, '--into', home]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(await newIn(home), ['config', 'media']);
  assert.deepEqual(await readdir(join(home, 'media', 'photos', '2026')), ['a.jpg']);
  assert.deepEqual(await readdir(join(home, 'config')), ['secrets']);
  assert.equal(await readFile(join(home, 'config', 'secrets', 'key'), 'utf8'), 'key\n');
});

test('[26] a plan changes nothing, and says what stands in the way with its exit code', async (context) => {
  const { home, storage, target, manifest, copies } = await twoTrees(context);
  await mkdir(join(home, 'media'));
  const environment = { PGPASSWORD: testPostgres().password };
  const plan = [manifest.id, ...storage, '--database-url', serverUrl(), '--target', target.name, '--dry-run'];
  const good = await run(home, [...plan, '--json', '--into', `config=${join(home, 'etc')}`], environment);
  assert.equal(good.code, 0, good.stderr + good.stdout);
  const planned = JSON.parse(good.stdout) as Planned;
  assert.equal(planned.state, 'planned');
  assert.deepEqual(planned.plan.copies, [copies]);
  assert.equal(planned.plan.database?.name, target.name);
  assert.deepEqual(
    planned.plan.files?.trees.map(({ targets }) => targets),
    [[join(home, 'etc')]],
  );
  const people = await run(home, [...plan, '--into', `config=${join(home, 'etc')}`], environment);
  assert.match(people.stdout, new RegExp(`tree config +${join(home, 'etc')} on `));
  const bad = await run(home, [...plan, '--json', '--into', home], environment);
  const refused = JSON.parse(bad.stdout) as Planned;
  assert.deepEqual([bad.code, refused.state, refused.error?.type], [4, 'failed', 'RefusedForSafety']);
  assert.match(refused.error?.message ?? '', /media exists already/);
  assert.equal(refused.plan.files?.trees.length, 2);
  assert.deepEqual(await newIn(home), ['media']);
  assert.deepEqual(await onServer(`select 1 from pg_database where datname = '${target.name}'`), []);
});

test('[26] what makes no sense of trees is refused before anything is made', async (context) => {
  const { home, storage, manifest } = await twoTrees(context);
  const inHome = (name: string) => join(home, name);
  const cases: (readonly [readonly string[], number, RegExp])[] = [
    [['--files', 'config', '--into', `media=${inHome('new')}`], 2, /not said where the tree config is to stand/],
    [['--files', 'logs', '--into', inHome('new')], 2, /has no logs/],
    [['--into', inHome('new')], 2, /new does not exist.*mkdir -p/],
    [['--into', `media=${inHome('a')}`, '--into', `config=${inHome('a')}`], 2, /cannot both stand at/],
    [['--into', `media=${inHome('a')}`, '--into', `media=${inHome('b')}`], 2, /two places for the same/],
    [['--into', inHome('a'), '--into', inHome('b')], 2, /two places for the same/],
    [['--into', `media=${inHome('a')}`, '--path', 'media'], 2, /names no file/],
    [['--into', 'media='], 2, /--into media= names no directory/],
    [['--into', ''], 2, /names no directory/],
    [['--files', 'media', '--path', 'media/photos', '--into', inHome('a')], 2, /whole and in parts/],
    [['--path', 'media/none', '--into', home], 2, /has no \\?"none/],
    [['--path', 'media/../../none', '--into', home], 2, /no path within a tree/],
    [['--into', `media=${inHome('a')}`, '--into', `config=${inHome('a')}/b`], 2, /lie in each other/],
  ];
  for (const [args, code, message] of cases) {
    const ended = await run(home, [manifest.id, ...storage, '--json', ...args]);
    const { error } = JSON.parse(ended.stdout) as { error: ErrorReport };
    assert.match(`${error.message} ${error.advice}`, message, args.join(' '));
    assert.equal(ended.code, code, `${args.join(' ')}: ${error.message}`);
  }
  assert.deepEqual(await newIn(home), []);
});

test('what stands in the way of several trees is told once, and what to do about each on a line of its own', async (context) => {
  const { home, storage, manifest } = await twoTrees(context);
  const none = join(home, 'none');
  const inNone = await run(home, [manifest.id, ...storage, '--into', none]);
  assert.equal(inNone.code, 2, inNone.stderr);
  assert.equal(inNone.stderr.split(`${none} does not exist`).length, 2, inNone.stderr);
  const plan = await run(home, [manifest.id, ...storage, '--into', none, '--dry-run']);
  assert.equal(plan.stdout.split(`${none} does not exist`).length, 2, plan.stdout);
  const within = ['--into', `media=${none}/a`, '--into', `config=${none}/a/b`];
  const nested = await run(home, [manifest.id, ...storage, ...within]);
  assert.equal(nested.code, 2, nested.stderr);
  assert.match(nested.stderr, new RegExp(`^holdfast: hint: Make it first: mkdir -p ${none}$`, 'm'));
  assert.match(nested.stderr, /^Restore them one after the other, the outer one first\.$/m);
});

test('[26] a plan refuses a key that does not open the trees, as the restore does', async (context) => {
  const { home, copies, manifest, keys } = await twoTrees(context);
  await writeFile(join(home, 'other.key'), Buffer.alloc(32, 'other keys are of no use'));
  const storage = ['--local', copies, '--verify-key', join(home, 'sign.pub.pem')];
  const args = [manifest.id, ...storage, '--into', home, '--json', '--key'];
  const errors: ErrorReport[] = [];
  for (const more of [['--dry-run'], []]) {
    const { code, stdout } = await run(home, [...args, join(home, 'other.key'), ...more]);
    const { error } = JSON.parse(stdout) as { error: ErrorReport };
    assert.deepEqual([code, error.type], [1, 'KeyMissing'], stdout);
    errors.push(error);
  }
  assert.deepEqual(errors[0], errors[1]);
  assert.match(errors[0]?.message ?? '', new RegExp(`opens with .*${keys.aes.id}`));
  const right = await run(home, [...args, join(home, 'ops.key'), '--dry-run']);
  assert.equal(right.code, 0, right.stdout);
  assert.deepEqual(await newIn(home), []);
});

test('the newest backup that has a tree is meant where trees are wanted', async (context) => {
  const { home, storage, keys, plain, backend, manifest } = await twoTrees(context);
  const database = plain.filter(({ part }) => part !== 'media');
  await storeBackup([backend], keys, database, { id: '20261123T020000Z-7f3k9q', startedAt: '2026-11-23T02:00:00Z' });
  const latest = ['latest', '--source', 'shop', ...storage, '--dry-run', '--json', '--into'];
  const { code, stdout } = await run(home, [...latest, home]);
  assert.deepEqual([code, (JSON.parse(stdout) as Planned).backup], [0, manifest.id]);
});

/** A recovery in this process, so that something can happen at a moment of it. */
function inProcess(shop: Awaited<ReturnType<typeof twoTrees>>, onPhase: (phase: string, stop: () => void) => void) {
  const { home, keys, backend, target } = shop;
  const interrupted = new AbortController();
  const wish: RecoveryWish = {
    backup: shop.manifest.id,
    database: { server: accessTo({ ...target, name: 'postgres' }), target: target.name, createRoles: false, jobs: 1 },
    trees: treesInto(home),
  };
  const means = {
    copies: [{ backend: backend.name, open: async () => backend }],
    checkingKeys: [keys.checking],
    openingKeys: [keys.aes],
    ownDirectories: [],
    environment: [],
    signal: interrupted.signal,
    onProgress: (phase: string) => onPhase(phase, () => interrupted.abort(new Error('interrupted'))),
    warn: () => undefined,
    passOver: () => undefined,
  };
  return { wish, means, recover: () => recover(wish, means) };
}

function treesInto(within: string): TreesWish {
  return { whole: [], paths: [], outsideLinks: false, own: new Map(), within };
}

test('[27] interrupted while the restored database is compared, it leaves neither database nor trees', async (context) => {
  const shop = await twoTrees(context);
  const phases: string[] = [];
  const { recover: begin } = inProcess(shop, (phase, stop) => {
    phases.push(phase);
    if (phase.startsWith(`comparing ${shop.target.name}`)) stop();
  });
  await assert.rejects(begin(), /interrupted/);
  assert.ok(phases.some((phase) => phase.startsWith('restoring settings')));
  assert.deepEqual(await onServer(`select 1 from pg_database where datname = '${shop.target.name}'`), []);
  assert.deepEqual(await newIn(shop.home), []);
});

test('[27] trees are put in place all, or none', async (context) => {
  const shop = await twoTrees(context);
  const { means } = inProcess(shop, () => undefined);
  const chosen = { manifest: shop.manifest, manifestSha256: '', copies: means.copies, passedOver: [], newer: [] };
  const staged = [];
  for (const place of treePlaces(treesInto(shop.home), shop.manifest))
    staged.push(await stageTree(place, false, chosen, means));
  // Somebody makes it meanwhile.
  await mkdir(join(shop.home, 'config'));
  await assert.rejects(placeTrees(staged, means.signal), /config exists already/);
  assert.deepEqual(
    (await newIn(shop.home)).filter((name) => !name.startsWith('.holdfast-restoring')),
    ['config'],
  );
});
