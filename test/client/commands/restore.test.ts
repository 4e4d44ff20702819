import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, before, beforeEach, test } from 'node:test';
import { promisify } from 'node:util';
import { bringTemporalCli } from '../../../core/tools/temporalCli.ts';
import { createApplication, type Application } from '../../support/application.ts';
import { fileScope } from '../../support/fileScope.ts';
import { until } from '../../support/processes.ts';
import { assertUntouched, changeShop, countCustomers, dropRestored, ROWS, untilPhase } from '../../support/restores.ts';
import { mountSmallDisk, noMounts } from '../../support/smallDisk.ts';
import { fillSmallShop } from '../../support/smallShop.ts';

/** `holdfast restore` as a person sees it. */

const scope = fileScope();
let app: Application;
let backup: string;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  await mkdir(app.spool, { mode: 0o700 });
  if (!noMounts) mountSmallDisk(scope, app.spool, 200);
  await app.startWorker();
  const { code, document } = await app.backup('shop');
  assert.equal(code, 0, JSON.stringify(document));
  backup = document.id;
});

beforeEach(() => changeShop(app));
afterEach(() => dropRestored(app));

test('--dry-run shows what would be done, and a link to the form that does it', async () => {
  const { name } = app.database;
  const { code, stdout, stderr } = await app.holdfast('restore', 'latest', '--mode', 'replace', '--dry-run');
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^Restore \S+ of shop: planned/);
  for (const row of [
    new RegExp(`backup +${backup} `),
    /from +local, near, far/,
    new RegExp(`into +${name}_restoring_`),
    new RegExp(`replaces +${name} .*kept as ${name}_before_`),
    /backed up before +by the plan shop/,
    /expected to take +not known yet/,
    /approval +It replaces database/,
  ])
    assert.match(stdout, row);
  const link = /(http\S+start-workflow\?\S+)/.exec(stdout)?.[1] ?? '';
  assert.equal(new URL(link).searchParams.get('workflowType'), 'restore');
  assert.equal((await fetch(link)).status, 200);
  await assertUntouched(app, [name], 10);
});

test('the plan says that the spool has no room for the backup before', { skip: noMounts }, async () => {
  const filler = join(app.spool, 'filler');
  await writeFile(filler, Buffer.alloc(150 * 2 ** 20));
  const plan = async (...args: string[]) => (await app.holdfast('restore', 'latest', '--dry-run', ...args)).stdout;
  const told = /^Note: The spool at \S+ has \S+ MiB free; a backup needs about 64(\.0)? MiB, on /m;
  try {
    assert.match(await plan('--mode', 'replace'), told);
    assert.doesNotMatch(await plan(), told);
    assert.doesNotMatch(await plan('--mode', 'replace', '--skip-safety-backup'), told);
  } finally {
    await rm(filler);
  }
  assert.doesNotMatch(await plan('--mode', 'replace'), told);
});

test('while it waits, it prints the command that approves it; that command, as printed, does so', async () => {
  const command = app.start('restore', backup.slice(0, -2), '--mode', 'replace');
  const printed = await until(
    'the command',
    async () => /^ +(temporal workflow update execute .*--name approve .*)$/m.exec(command.output.stderr)?.[1],
  );
  assert.match(command.output.stderr, /^ +temporal workflow update execute .*--name abort /m);
  assert.match(command.output.stderr, /waits to be approved until \d{4}-/);
  assert.match(command.output.stderr, new RegExp(`replaces: ${app.database.name} `));
  const program = await bringTemporalCli(process.env, () => undefined);
  await promisify(execFile)('sh', ['-c', printed.replace(/^temporal /, `${program} `)]);
  const { code, stdout, stderr } = await command.ended;
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^Restore \S+ of shop: restored/);
  assert.match(stdout, /Approved by your name\./);
  assert.match(stdout, /Equal to what was dumped: 1 tables, 5000 rows/);
  assert.match(stdout, new RegExp(`kept as ${app.database.name}_before_\\S+\\. To go back`));
  assert.match(stdout, new RegExp(`DROP DATABASE "${app.database.name}_before_.*WITH \\(FORCE\\);`));
  assert.match(stdout, /Times: safety backup .*restore .*reconcile .*swap /);
  assert.equal(await countCustomers(app), ROWS);
});

test('left to itself, it says that it waits to be approved, and how that is done', async () => {
  const args = ['restore', 'latest', '--mode', 'replace', '--no-wait'];
  const { code, stdout } = await app.holdfast(...args);
  assert.equal(code, 0, stdout);
  const [, workflowId = ''] = /^Started (\S+)$/m.exec(stdout) ?? [];
  assert.match(stdout, /^Where it replaces something, it waits to be approved:$/m);
  assert.match(stdout, new RegExp(`^ +temporal workflow update .*${workflowId} --name approve `, 'm'));
  const handle = (await app.temporal()).workflow.getHandle(workflowId);
  await untilPhase(handle, 'approval');
  await handle.executeUpdate('abort', { args: [{ by: 'the test', reason: 'it was seen' }] });
  await assert.rejects(handle.result());
  const confirmed = await app.holdfast(...args, '--confirm', app.database.name, '--dry-run');
  assert.doesNotMatch(confirmed.stdout, /approved/);
});

test('cancelled, it says what became of it: nothing was changed', async () => {
  const command = app.start('restore', 'latest', '--mode', 'replace');
  const workflowId = await until(
    'the run',
    async () => /waits to be approved[^]*--workflow-id (\S+) --name abort/.exec(command.output.stderr)?.[1],
  );
  await (await app.temporal()).workflow.getHandle(workflowId).cancel();
  const { code, stdout, stderr } = await command.ended;
  assert.equal(code, 130, stderr);
  assert.match(stdout, /^Restore \S+ of shop: failed/);
  assert.match(stderr, /error: The run \S+ was cancelled\.$/m);
  assert.match(stderr, /hint: Nothing was changed\.$/m);
  await assertUntouched(app, [app.database.name], 10);
});

test('the second plan knows how long the first restore took', async () => {
  const first = await app.ask('restore', 'latest');
  assert.equal(first.code, 0);
  const { code, stdout } = await app.holdfast('restore', 'latest', '--dry-run');
  assert.equal(code, 0);
  assert.match(stdout, /expected to take +about \d/);
});

test('an error names what is wrong and what to do, once', async () => {
  const { code, stderr } = await app.holdfast('restore', 'latest', '--target', app.database.name);
  assert.equal(code, 4, stderr);
  assert.equal(stderr.match(/^holdfast: error: /gm)?.length, 1);
  assert.match(stderr, /exists already/);
  assert.match(stderr, /^holdfast: hint: /m);
});

test('wrong usage is told before anything runs', async () => {
  const cases: [string[], RegExp][] = [
    [[], /missing required argument/],
    [['latest', '--mode', 'over'], /--mode/],
    [['latest', '--jobs', 'many'], /jobs/],
    [['latest', '--skip-safety-backup'], /replaces nothing/],
    [['latest', '--backend', 'nera'], /near/],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await app.holdfast('restore', ...args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, / runs/);
  }
});
