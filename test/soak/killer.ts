import { setTimeout as sleep } from 'node:timers/promises';
import type { Application } from '../support/application.ts';
import type { SupervisedWorker } from '../support/supervisedWorker.ts';

/** Milliseconds in which a run may still wait for the heartbeat of the worker that was killed last. */
const SILENCE = 30_000;
/** PENDING_ACTIVITY_STATE_STARTED of Temporal's API. */
const STARTED = 2;

export interface Kill {
  /** Milliseconds since the start of the run. */
  readonly at: number;
  /** Steps that a worker was at, e.g. `upload`. */
  readonly during: readonly string[];
}

export interface KillerOptions {
  readonly app: Application;
  readonly worker: SupervisedWorker;
  readonly workflowId: string;
  readonly kills: number;
  /** Milliseconds that a run takes which nobody disturbs. */
  readonly undisturbed: number;
  readonly random: () => number;
  /** Aborted at the end of the run. */
  readonly ended: AbortSignal;
}

/** Kills the worker after pauses drawn at random, so often or until the run is over. Gives what was done. */
export async function killAtRandom(options: KillerOptions): Promise<Kill[]> {
  const { app, worker, workflowId, random, ended } = options;
  const begun = Date.now();
  const done: Kill[] = [];
  // Drawn ahead: how many there are time for must not change what the next run draws.
  const pauses = Array.from({ length: options.kills }, (_, index) =>
    Math.floor(random() * (options.undisturbed + (index === 0 ? 0 : SILENCE))),
  );
  for (const pause of pauses) {
    await sleep(pause, undefined, { signal: ended }).catch(() => undefined);
    if (ended.aborted) break;
    const during = await stepsUnderWay(app, workflowId);
    if (ended.aborted) break;
    worker.killOnly();
    done.push({ at: Date.now() - begun, during });
    await worker.restart();
  }
  return done;
}

async function stepsUnderWay(app: Application, workflowId: string): Promise<string[]> {
  const { raw } = await (await app.temporal()).workflow.getHandle(workflowId).describe();
  return (raw.pendingActivities ?? []).flatMap(({ activityType, state }) =>
    activityType?.name && Number(state) === STARTED ? [activityType.name] : [],
  );
}
