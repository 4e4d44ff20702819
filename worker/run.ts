import { NativeConnection, TransportError, Worker } from '@temporalio/worker';
import type { Logger } from 'pino';
import { createActivities } from '../activities/createActivities.ts';
import type { Configuration } from '../core/config/schema.ts';
import { HoldfastError, isHoldfastError } from '../core/errors.ts';
import { temporalTarget } from './connection.ts';
import { openDependencies } from './dependencies.ts';
import { endedByForce } from './endOfWorker.ts';
import { sweepOwnSpool } from './sweepOwnSpool.ts';
import { installLogger, loggedError } from './temporalLog.ts';
import { loadWorkflowBundle } from './workflowBundle.ts';

export interface WorkerOptions {
  readonly configuration: Configuration;
  readonly log: Logger;
  /** Aborted to make the worker finish what it can and stop. */
  readonly signal: AbortSignal;
  /** Called once, when the worker takes tasks. */
  readonly onReady: (ready: WorkerReady) => void;
}

export interface WorkerReady {
  readonly address: string;
  readonly namespace: string;
  readonly taskQueue: string;
  readonly spoolQueue: string;
}

/**
 * Long steps end as soon as the worker is told to stop, and another worker takes them over. What takes a moment may finish
 * within the grace; then it is cancelled, and taken over too.
 */
const SHUTDOWN_GRACE = '10s';
const SHUTDOWN_FORCE = '20s';

/**
 * Runs a worker until its signal aborts: one poller for the workflows and for steps any host can do, one for the steps
 * that need this host's spool. Rejects with `TemporalUnreachable` when the server cannot be reached.
 */
export async function runWorker({ configuration, log, signal, onReady }: WorkerOptions): Promise<void> {
  installLogger(log);
  const target = await temporalTarget(configuration);
  const [codePath, dependencies, connection] = await Promise.all([
    loadWorkflowBundle(log),
    openDependencies(configuration, log, signal),
    connect(target),
  ]);
  try {
    await dependencies.catalog().catch((error: unknown) => {
      // One that is away is no reason not to back up; one that can never be reached is a mistake to be told at once.
      if (!isHoldfastError(error, 'CatalogUnavailable')) throw error;
      log.warn({ error: error.message }, 'the catalog is away');
    });
    const activities = createActivities(dependencies);
    const common = {
      connection,
      namespace: target.namespace,
      activities,
      shutdownGraceTime: SHUTDOWN_GRACE,
      shutdownForceTime: SHUTDOWN_FORCE,
      // Cancellation, pause and reset reach an activity only on a heartbeat that is really sent.
      maxHeartbeatThrottleInterval: '2s',
    } as const;
    const workers = await Promise.all([
      Worker.create({ ...common, taskQueue: configuration.temporal.taskQueue, workflowBundle: { codePath } }),
      Worker.create({ ...common, taskQueue: dependencies.spoolQueue }),
    ]);
    const shutdown = () => {
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
    };
    signal.addEventListener('abort', shutdown, { once: true });
    const running = workers.map((worker) =>
      worker.run().finally(() => {
        // One poller alone would take tasks that the other has to finish.
        shutdown();
      }),
    );
    if (signal.aborted) shutdown();
    const { taskQueue } = configuration.temporal;
    onReady({ address: target.address, namespace: target.namespace, taskQueue, spoolQueue: dependencies.spoolQueue });
    // Never rejects, and nothing waits for it: a worker that is told to stop leaves the rest to the next start.
    void sweepOwnSpool({ ...dependencies, connection, namespace: target.namespace, signal });
    const ended = await Promise.allSettled(running);
    for (const outcome of ended) {
      if (outcome.status === 'fulfilled') continue;
      // It was to stop, and it has: what did not end in time is begun again by another worker.
      if (!signal.aborted || !endedByForce(outcome.reason)) throw outcome.reason;
      log.warn({ error: loggedError(outcome.reason) }, 'a step did not end in time; another worker takes it over');
    }
  } finally {
    await dependencies.close();
    await connection.close();
  }
}

async function connect({ address, options }: Awaited<ReturnType<typeof temporalTarget>>): Promise<NativeConnection> {
  try {
    return await NativeConnection.connect(options);
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    throw new HoldfastError(
      'TemporalUnreachable',
      `Temporal's server at ${address} cannot be reached: ${error.message}`,
      {
        advice: 'Start it, or correct temporal.address. `holdfast worker --embedded` brings a server of its own.',
        cause: error,
      },
    );
  }
}
