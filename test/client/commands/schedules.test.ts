import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Client } from '@temporalio/client';
import type { ScheduleReport } from '../../../client/schedules/report.ts';
import { createApplication, type Application } from '../../support/application.ts';
import { fileScope } from '../../support/fileScope.ts';
import { until } from '../../support/processes.ts';

/** The schedules in Temporal are what the configuration says, and an operator's pause is kept. */

const scope = fileScope();
let app: Application;
let client: Client;
let queue: string;

before(async () => {
  app = await createApplication(scope);
  client = await app.temporal();
  queue = app.settings.temporal.taskQueue;
  scope.after(async () => {
    app.settings.maintenance = { heal: 'off', sweep: 'off', drill: 'off' };
    await app.save();
    await app.holdfast('schedules', 'apply');
  });
});

test('what is missing is created, with a window to catch up, no overlap and no pause on failure', async () => {
  const first = await schedules('list');
  assert.equal(first.code, 3);
  assert.deepEqual(first.states, { heal: 'missing', sweep: 'missing', 'drill-shop': 'missing' });
  const applied = await schedules('apply');
  assert.equal(applied.code, 0);
  assert.deepEqual(applied.states, { heal: 'created', sweep: 'created', 'drill-shop': 'created' });
  const description = await handle('heal').describe();
  assert.equal(description.policies.overlap, 'SKIP');
  assert.equal(description.policies.catchupWindow, 3_600_000);
  assert.equal(description.policies.pauseOnFailure, false);
  assert.equal(description.action.workflowType, 'scan');
  assert.equal(description.action.taskQueue, queue);
  assert.deepEqual(description.action.args, [{}]);
  assert.equal(new Date(description.info.nextActionTimes[0] ?? 0).getUTCHours(), 6);
  assert.deepEqual((await schedules('apply')).states, {
    heal: 'in place',
    sweep: 'in place',
    'drill-shop': 'in place',
  });
  const after = await schedules('list');
  assert.equal(after.code, 0);
  assert.deepEqual(after.states, { heal: 'in place', sweep: 'in place', 'drill-shop': 'in place' });
});

test('a source that a plan backs up has its own drill, and starts it; one that nobody backs up has none', async () => {
  const { action } = await handle('drill-shop').describe();
  assert.equal(action.workflowType, 'drill');
  assert.deepEqual(action.args, [{ source: 'shop' }]);
  const { shop } = app.settings.sources;
  assert.ok(shop);
  app.settings.sources['unplanned'] = shop;
  await app.save();
  assert.deepEqual((await schedules('list')).states, { heal: 'in place', sweep: 'in place', 'drill-shop': 'in place' });
});

test('a change is applied, and a pause outlives it', async () => {
  await handle('heal').pause('the storage is being moved');
  app.settings.maintenance = { heal: '15 7 * * MON-FRI', timezone: 'Europe/Berlin' };
  await app.save();
  assert.deepEqual((await schedules('list')).states, { heal: 'differs', sweep: 'differs', 'drill-shop': 'differs' });
  assert.deepEqual((await schedules('apply')).states, { heal: 'updated', sweep: 'updated', 'drill-shop': 'updated' });
  const description = await handle('heal').describe();
  assert.equal(description.state.paused, true);
  assert.equal(description.state.note, 'the storage is being moved');
  assert.equal(description.spec.timezone, 'Europe/Berlin');
  const listed = await app.holdfast('schedules', 'list');
  assert.equal(listed.code, 0);
  assert.match(listed.stdout, /heal@\S+ +scan +15 7 \* \* MON-FRI +Europe\/Berlin +in place +paused: the storage/);
});

test("what left the configuration is removed, another installation's schedules are not", async () => {
  const foreign = await client.schedule.create({
    scheduleId: `heal@other-${queue}`,
    spec: { cronExpressions: ['0 0 1 1 *'] },
    action: { type: 'startWorkflow', workflowType: 'scan', taskQueue: `other-${queue}` },
    memo: { holdfast: `other-${queue}` },
  });
  scope.after(() => foreign.delete());
  app.settings.maintenance = { heal: '15 7 * * *', sweep: 'off', drill: 'off' };
  await app.save();
  await until('the surplus schedule in the list', async () =>
    (await schedules('list')).states['sweep'] === 'surplus' ? true : undefined,
  );
  assert.deepEqual((await schedules('apply')).states, { heal: 'updated', sweep: 'removed', 'drill-shop': 'removed' });
  await assert.rejects(handle('sweep').describe(), /not found/i);
  assert.equal((await foreign.describe()).scheduleId, `heal@other-${queue}`);
});

test('a time that cannot be is refused before anything is changed', async () => {
  for (const [key, value] of [
    ['heal', '0 25 * * *'],
    ['heal', 'daily'],
    ['heal', '0 0 6 * * *'],
    ['sweep', '0 6 30 2 *'],
    ['drill', '0 6 32 * *'],
    ['timezone', 'Europe/Atlantis'],
  ] as const) {
    app.settings.maintenance = { [key]: value };
    await app.save();
    const { code, stderr } = await app.holdfast('schedules', 'apply');
    assert.equal(code, 2, stderr);
    assert.match(stderr, new RegExp(`maintenance\\.${key}`));
  }
});

function handle(name: string) {
  return client.schedule.getHandle(`${name}@${queue}`);
}

async function schedules(what: 'apply' | 'list') {
  const { code, document } = await app.ask('schedules', what);
  const { schedules: reports } = document as { schedules: ScheduleReport[] };
  return { code, states: Object.fromEntries(reports.map(({ name, state }) => [name, state])) };
}
