import {
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
  type ScheduleClient,
  type ScheduleDescription,
  type ScheduleOptions,
} from '@temporalio/client';
import { isDeepStrictEqual } from 'node:util';
import { HoldfastError, messageOf } from '../../core/errors.ts';
import type { DesiredSchedule } from './desired.ts';
import type { ScheduleReport } from './report.ts';

/** A run that was missed for longer, because Temporal was away, is not made up for: the next one is near. */
const CATCHUP_WINDOW = '1h';
/** Marks a schedule as one of ours, by the task queue of its workers, so that installations leave each other's alone. */
const OWNER = 'holdfast';

/**
 * Makes the schedules in Temporal the desired ones: creates, updates, removes. Whether one is paused is the operator's
 * word, and stays. Throws InvalidConfiguration for one that Temporal refuses.
 */
export async function applySchedules(
  client: ScheduleClient,
  taskQueue: string,
  desired: readonly DesiredSchedule[],
): Promise<ScheduleReport[]> {
  const reports: ScheduleReport[] = [];
  for (const schedule of desired) {
    const scheduleId = idOf(taskQueue, schedule.name);
    const state = await refusable(schedule, () => applyOne(client, taskQueue, scheduleId, schedule));
    reports.push(reportOf(schedule, state, await client.getHandle(scheduleId).describe()));
  }
  for (const surplus of await surplusSchedules(client, taskQueue, desired)) {
    await client.getHandle(surplus.id).delete();
    reports.push({ ...surplus, state: 'removed' });
  }
  return reports;
}

/** How the schedules in Temporal differ from the desired ones. Changes nothing. */
export async function compareSchedules(
  client: ScheduleClient,
  taskQueue: string,
  desired: readonly DesiredSchedule[],
): Promise<ScheduleReport[]> {
  const reports = await Promise.all(
    desired.map(async (schedule): Promise<ScheduleReport> => {
      const { name, cron, timezone, workflowType } = schedule;
      const id = idOf(taskQueue, name);
      const found = await find(client, id);
      if (!found) return { id, name, cron, timezone, workflowType, state: 'missing', paused: false };
      return reportOf(schedule, isAsDesired(found, schedule) ? 'in place' : 'differs', found);
    }),
  );
  return [...reports, ...(await surplusSchedules(client, taskQueue, desired))];
}

async function applyOne(
  client: ScheduleClient,
  taskQueue: string,
  scheduleId: string,
  desired: DesiredSchedule,
): Promise<ScheduleReport['state']> {
  const found = await find(client, scheduleId);
  if (!found) {
    await client.create({ ...optionsFor(scheduleId, taskQueue, desired), memo: { [OWNER]: taskQueue } });
    return 'created';
  }
  if (isAsDesired(found, desired)) return 'in place';
  // An update replaces everything: without the state it had, a schedule that was paused would run again.
  await client.getHandle(scheduleId).update(({ state }) => ({ ...optionsFor(scheduleId, taskQueue, desired), state }));
  return 'updated';
}

function optionsFor(scheduleId: string, taskQueue: string, desired: DesiredSchedule): ScheduleOptions {
  const { cron, timezone, workflowType, input, name, summary } = desired;
  return {
    scheduleId,
    spec: { cronExpressions: [cron], timezone },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: CATCHUP_WINDOW, pauseOnFailure: false },
    action: {
      type: 'startWorkflow',
      workflowType,
      workflowId: `${name}@${taskQueue}`,
      taskQueue,
      args: [input],
      // Temporal keeps a cron expression in another form: this is what tells whether it is still the same.
      memo: { schedule: { ...desired } },
      staticSummary: summary,
    },
  };
}

function isAsDesired({ action, policies }: ScheduleDescription, desired: DesiredSchedule): boolean {
  return (
    isDeepStrictEqual(action.memo?.['schedule'], { ...desired }) &&
    policies.overlap === ScheduleOverlapPolicy.SKIP &&
    !policies.pauseOnFailure
  );
}

/** Those of this task queue that nothing in the configuration asks for any more. */
async function surplusSchedules(
  client: ScheduleClient,
  taskQueue: string,
  desired: readonly DesiredSchedule[],
): Promise<ScheduleReport[]> {
  const wanted = new Set(desired.map(({ name }) => idOf(taskQueue, name)));
  const surplus: ScheduleReport[] = [];
  for await (const { scheduleId, memo, state, info } of client.list()) {
    if (memo?.[OWNER] !== taskQueue || wanted.has(scheduleId)) continue;
    // The list is a moment behind.
    if (!(await find(client, scheduleId))) continue;
    const [next] = info.nextActionTimes;
    surplus.push({
      id: scheduleId,
      name: scheduleId.slice(0, -`@${taskQueue}`.length),
      state: 'surplus',
      paused: state.paused,
      ...(next && { next: next.toISOString() }),
    });
  }
  return surplus;
}

async function find(client: ScheduleClient, scheduleId: string): Promise<ScheduleDescription | undefined> {
  try {
    return await client.getHandle(scheduleId).describe();
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return undefined;
    throw error;
  }
}

function reportOf(
  { name, cron, timezone, workflowType }: DesiredSchedule,
  state: ScheduleReport['state'],
  { scheduleId, state: now, info }: ScheduleDescription,
): ScheduleReport {
  const [next] = info.nextActionTimes;
  const last = info.recentActions.at(-1)?.takenAt;
  return {
    id: scheduleId,
    name,
    cron,
    timezone,
    workflowType,
    state,
    paused: now.paused,
    ...(now.paused && now.note && { note: now.note }),
    ...(next && { next: next.toISOString() }),
    ...(last && { last: last.toISOString() }),
  };
}

async function refusable<Result>(
  { name, cron, setting }: DesiredSchedule,
  apply: () => Promise<Result>,
): Promise<Result> {
  try {
    return await apply();
  } catch (error) {
    if (!/invalid|InvalidArgument/i.test(`${messageOf(error)} ${String(causeOf(error))}`)) throw error;
    throw new HoldfastError(
      'InvalidConfiguration',
      `Temporal refuses the schedule ${name} (${cron}): ${messageOf(error)}`,
      {
        advice: `Correct ${setting} in holdfast.yaml.`,
        cause: error,
      },
    );
  }
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}

function idOf(taskQueue: string, name: string): string {
  return `${name}@${taskQueue}`;
}
