import { ServiceError, WorkflowFailedError, type Client } from '@temporalio/client';
import { TemporalFailure } from '@temporalio/common';
import { z } from 'zod';
import type { BackupResult } from '../../core/backup/run.ts';
import type { Application } from './application.ts';

/** Runs as Temporal sees them. */

export interface ScheduledStep {
  readonly name: string;
  /** How often it was tried, where it has ended. */
  readonly attempt: number | undefined;
  readonly outcome: 'running' | 'completed' | 'failed';
}

/** Every step of a run that has been scheduled, in order; none where the run is not known yet. */
export async function stepsOf(app: Application, workflowId: string): Promise<ScheduledStep[]> {
  const { events } = await (await app.temporal()).workflow.getHandle(workflowId).fetchHistory();
  const all = events ?? [];
  return all.flatMap(({ eventId, activityTaskScheduledEventAttributes: scheduled }) => {
    if (!scheduled) return [];
    const isThis = (attributes: { scheduledEventId?: unknown } | null | undefined) =>
      String(attributes?.scheduledEventId) === String(eventId);
    const started = all.find((event) => isThis(event.activityTaskStartedEventAttributes));
    const completed = all.some((event) => isThis(event.activityTaskCompletedEventAttributes));
    const failed = all.some(
      (event) =>
        isThis(event.activityTaskFailedEventAttributes) ||
        isThis(event.activityTaskTimedOutEventAttributes) ||
        isThis(event.activityTaskCanceledEventAttributes),
    );
    return {
      name: scheduled.activityType?.name ?? '',
      attempt: started?.activityTaskStartedEventAttributes?.attempt ?? undefined,
      outcome: completed ? 'completed' : failed ? 'failed' : 'running',
    };
  });
}

/** How often a step was tried in all; 0 where it has not ended. */
export async function attemptsOf(app: Application, workflowId: string, step: string): Promise<number> {
  return (await stepsOf(app, workflowId)).find(({ name }) => name === step)?.attempt ?? 0;
}

export interface BegunBackup {
  readonly workflowId: string;
  /** How it ended, failed or not. */
  readonly ended: Promise<BackupResult>;
}

/** `holdfast backup` as far as the start of the run, which goes on by itself. */
export async function beginBackup(app: Application, ...args: string[]): Promise<BegunBackup> {
  const { document, stderr } = await app.ask('backup', ...args, '--no-wait');
  const { workflowId } = z.looseObject({ workflowId: z.string(stderr) }).parse(document);
  const ended = resultOf(await app.temporal(), workflowId);
  // Whoever waits for the end hears of a failure; until then nobody may be waiting yet.
  ended.catch(() => undefined);
  return { workflowId, ended };
}

/** The result of a run; a failed one carries its result as the failure's detail. Waits for a server that is away. */
export async function resultOf(client: Client, workflowId: string): Promise<BackupResult> {
  for (;;) {
    try {
      return (await client.workflow.getHandle(workflowId).result()) as BackupResult;
    } catch (error) {
      if (error instanceof ServiceError) continue;
      const cause = error instanceof WorkflowFailedError ? error.cause : undefined;
      if (!(cause instanceof TemporalFailure) || !('details' in cause) || !Array.isArray(cause.details)) throw error;
      return cause.details[0] as BackupResult;
    }
  }
}

/** Ends the heal that a degraded backup started, in order, so that the next fault meets one run only. */
export async function stopHeal(app: Application, { heal }: Pick<BackupResult, 'heal'>): Promise<void> {
  if (heal === undefined) return;
  const handle = (await app.temporal()).workflow.getHandle(heal);
  await handle.cancel();
  await Promise.allSettled([handle.result()]);
}
