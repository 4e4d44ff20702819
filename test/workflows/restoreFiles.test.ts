import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, before, beforeEach, test } from 'node:test';
import { promisify } from 'node:util';
import type { ApplicationFailure } from '@temporalio/common';
import { describeTree } from '../../core/restore/trees/describeTrees.ts';
import type { RestoreProgress, RestoreResult } from '../../core/restore/flow.ts';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { until } from '../support/processes.ts';
import {
  assertUntouched,
  changeShop,
  countCustomers,
  dropRestored,
  restore,
  ROWS,
  startRestore,
} from '../support/restores.ts';
import { fillSmallShop } from '../support/smallShop.ts';

/** `restore` of file trees, alone and beside the database. */

const scope = fileScope();
let app: Application;
const photo = () => join(app.trees.media, 'photos', 'photo.jpg');

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  await app.startWorker();
  const { code, document } = await app.backup('shop');
  assert.equal(code, 0, JSON.stringify(document));
});

beforeEach(async () => {
  await changeShop(app);
  await mkdir(dirname(photo()), { recursive: true });
  await writeFile(photo(), 'spoilt');
  await writeFile(join(app.trees.media, 'new.jpg'), 'new');
});

afterEach(async () => {
  await dropRestored(app);
  for (const name of await beside()) await rm(join(app.home, name), { recursive: true });
  for (const name of await readdir(app.trees.media)) await rm(join(app.trees.media, name), { recursive: true });
});

test('mode files puts whole trees in place, keeps those of before, and says how to go back', async () => {
  const { code, document } = await restore(app, 'latest', '--mode', 'files', '--files', 'media', '--confirm', 'media');
  assert.equal(code, 0, JSON.stringify(document));
  assert.equal(document.state, 'restored');
  assert.ok(document.safetyBackup, 'a whole tree is backed up before');
  assert.equal((await readFile(photo())).length, 50_000);
  assert.deepEqual(await readdir(app.trees.media), ['photos']);
  const [tree] = document.trees;
  assert.equal(tree?.comparison.equal, true);
  assert.deepEqual(await readdir(tree.keptAs[0] ?? ''), ['new.jpg', 'photos']);
  await assertNothingUnfinished();
  await assertUntouched(app, [app.database.name], 10);
  await promisify(execFile)('sh', ['-ec', tree.goBack.join('\n')]);
  assert.equal(await readFile(photo(), 'utf8'), 'spoilt');
});

test('a single file is put in place alone, and the one of before is kept beside it', async () => {
  const args = ['--mode', 'files', '--path', 'media/photos/photo.jpg', '--confirm', 'media'];
  const { code, document } = await restore(app, 'latest', ...args);
  assert.equal(code, 0, JSON.stringify(document));
  assert.equal(document.safetyBackup, undefined);
  assert.equal((await readFile(photo())).length, 50_000);
  assert.equal(await readFile(join(app.trees.media, 'new.jpg'), 'utf8'), 'new');
  assert.equal(await readFile(document.trees[0]?.keptAs[0] ?? '', 'utf8'), 'spoilt');
  await assertNothingUnfinished();
});

test('mode beside restores trees alone, beside those that are there, and needs no confirmation', async () => {
  const { code, document } = await restore(app, 'latest', '--mode', 'beside', '--files', 'media');
  assert.equal(code, 0, JSON.stringify(document));
  assert.equal(document.database, undefined);
  assert.equal(document.safetyBackup, undefined);
  const [tree] = document.trees;
  const restored = `${app.trees.media}_restored_${document.id}`;
  assert.deepEqual([tree?.targets, tree?.keptAs, tree?.comparison.equal], [[restored], [], true]);
  assert.equal((await readFile(join(restored, 'photos', 'photo.jpg'))).length, 50_000);
  assert.equal(await readFile(photo(), 'utf8'), 'spoilt');
  await assertUntouched(app, [app.database.name], 10);
  await assertNothingUnfinished();
});

test('[26] what cannot be put in place comes beside it as the refusal says', async () => {
  await rm(dirname(photo()), { recursive: true });
  await mkdir(join(app.trees.media, 'real'));
  await symlink('real', dirname(photo()));
  const paths = ['--path', 'media/photos/photo.jpg'];
  const refused = await restore(app, 'latest', '--mode', 'files', ...paths, '--confirm', 'media');
  assert.equal(refused.code, 4, JSON.stringify(refused.document));
  assert.match(refused.document.error?.advice ?? '', /beside the tree instead \(mode beside, the same paths\)/);
  const { code, document } = await restore(app, 'latest', '--mode', 'beside', ...paths);
  assert.equal(code, 0, JSON.stringify(document));
  const file = join(document.trees[0]?.targets[0] ?? '', 'photos', 'photo.jpg');
  assert.equal((await readFile(file)).length, 50_000);
  assert.deepEqual(await readdir(join(app.trees.media, 'real')), []);
});

test('database and files together: into new ones, and in place', async () => {
  const intoNew = await restore(app, 'latest', '--files', 'media', 'config');
  assert.equal(intoNew.code, 0, JSON.stringify(intoNew.document));
  assert.equal(await countCustomers(app, intoNew.document.database), ROWS);
  assert.deepEqual(
    intoNew.document.trees.map(({ targets }) => targets[0]),
    [app.trees.media, app.trees.config].map((path) => `${path}_restored_${intoNew.document.id}`),
  );
  assert.equal(await readFile(photo(), 'utf8'), 'spoilt');
  await dropRestored(app);

  const args = ['--mode', 'replace', '--files', 'media', '--confirm', app.database.name];
  const { code, document } = await restore(app, 'latest', ...args);
  assert.equal(code, 0, JSON.stringify(document));
  assert.equal(await countCustomers(app), ROWS);
  assert.equal((await readFile(photo())).length, 50_000);
  await assertNothingUnfinished();
});

test('[27] files that cannot be put in place take the database back with them', async () => {
  const handle = await startRestore(app, {
    source: 'shop',
    mode: 'replace',
    files: ['config', 'media'],
    confirm: app.database.name,
    safetyBackup: 'skip',
  });
  const plan = await until('the plan', async () => (await handle.query<RestoreProgress>('progress')).plan);
  // The name under which the second tree is to be kept is taken when it comes to it.
  await mkdir(`${app.trees.media}_before_${plan.id}`);
  const aside = `${app.trees.config}_undone_${plan.id}`;
  await assert.rejects(handle.result(), (error: Error) => {
    assert.match(String(error.cause), /_before_/);
    assert.match(String(error.cause), new RegExp(`files of config are as before, and the restored ones.* ${aside}`));
    const [{ state, setAsideTrees }] = (error.cause as ApplicationFailure).details as [RestoreResult];
    const drop = `rm -rf --one-file-system -- ${aside}`;
    assert.equal(state, 'undone');
    assert.deepEqual(setAsideTrees, [{ tree: 'config', setAsideAs: [aside], drop: [drop] }]);
    return true;
  });
  // The restored one is kept: an application may have written into it.
  await assertUntouched(app, [app.database.name, `${app.database.name}_undone_${plan.id}`], 10);
  assert.equal(await readFile(photo(), 'utf8'), 'spoilt');
  assert.equal(await readFile(join(app.trees.config, 'settings.ini'), 'utf8'), 'a = b\n');
  assert.deepEqual((await beside()).toSorted(), [`config_undone_${plan.id}`, `media_before_${plan.id}`]);
  assert.equal(await readFile(join(aside, 'settings.ini'), 'utf8'), 'a = b\n');
  await assertNothingUnfinished();
});

test('[26] what makes no sense is refused with exit code 2, and nothing is changed', async () => {
  const cases: [string[], RegExp][] = [
    [['--mode', 'files', '--files', 'medi'], /no file tree medi It has: .*; did you mean media\?/],
    [['--mode', 'files', '--path', '/etc/passwd'], /\/etc\/passwd begins with no file tree Write TREE\/PATH/],
    [['--mode', 'files', '--path', 'media'], /names no file/],
    [['--mode', 'files', '--path', 'media/none.jpg', '--confirm', 'media'], /none\.jpg/],
    [['--mode', 'files', '--confirm', 'config'], /confirm names config.*config,media/],
    [['--mode', 'files', '--table', 'customers'], /restores no database/],
    [['--mode', 'beside', '--target', 'copy'], /mode beside restores no database/],
    [['--mode', 'beside', '--confirm', 'media'], /mode beside replaces nothing/],
    [['--mode', 'files', '--files', 'media', '--path', 'media/photos/photo.jpg'], /whole and in parts/],
  ];
  for (const [args, message] of cases) {
    const { code, document } = await restore(app, 'latest', ...args);
    assert.equal(code, 2, JSON.stringify(document));
    assert.match(`${document.error?.message} ${document.error?.advice}`, message);
    // Advice has a line of its own; an input to copy is for who filled in the form.
    if (document.error?.advice) assert.doesNotMatch(document.error.message, /A right input|\?\./);
  }
  assert.equal(await readFile(photo(), 'utf8'), 'spoilt');
  await assertNothingUnfinished();
});

test('[28] what of a tree is left out makes the restore degraded, and it says what to do', async () => {
  await mkdir(dirname(photo()), { recursive: true });
  await symlink('/etc/hostname', join(app.trees.media, 'host'));
  await promisify(execFile)('mkfifo', [join(app.trees.media, 'pipe')]);
  // The newest backup from here on.
  const backup = await app.backup('shop', '--accept-shrink');
  assert.equal(backup.code, 0, JSON.stringify(backup.document));
  const args = ['--mode', 'files', '--files', 'media', '--confirm', 'media'];
  const { code, document } = await restore(app, 'latest', ...args);
  assert.equal(code, 3, JSON.stringify(document));
  assert.equal(document.state, 'degraded');
  const planned = (plan: typeof document.plan) => plan?.findings.map(({ message }) => message).join('\n') ?? '';
  assert.match(planned(document.plan), /1 symbolic links of media lead out of it.* and will be left out: host/);
  assert.match(planned(document.plan), /1 FIFOs and devices of media will be left out: pipe/);
  const told = document.trees.flatMap(describeTree).join('\n');
  assert.match(told, /equal to the backup but for 2 entries that are left out/);
  assert.match(told, /NOT restored: 1 symbolic links .*: host\. `--outside-links` restores them too/);
  assert.match(told, /NOT restored: 1 FIFOs and devices: pipe\. Make them by hand/);
  const withLinks = await restore(app, document.plan?.backup.id ?? '', ...args, '--outside-links');
  assert.equal(withLinks.code, 3, JSON.stringify(withLinks.document));
  assert.doesNotMatch(planned(withLinks.document.plan), /symbolic links/);
  assert.equal(await readlink(join(app.trees.media, 'host')), '/etc/hostname');
});

async function beside(): Promise<string[]> {
  return (await readdir(app.home)).filter((name) => /_(before|restored|undone)_/.test(name));
}

async function assertNothingUnfinished(): Promise<void> {
  const names = [...(await readdir(app.home)), ...(await readdir(app.trees.media))];
  assert.deepEqual(
    names.filter((name) => name.startsWith('.holdfast-')),
    [],
  );
}
