import { randomBytes } from 'node:crypto';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { Configuration } from '../core/config/schema.ts';
import { HoldfastError } from '../core/errors.ts';
import { showProgress, type ProgressView } from './progress.ts';
import type { TemporalTarget } from '../worker/connection.ts';
import { cancelledRun, connectTemporal, failureOfRun, hasWorker, type TemporalClient } from './temporal.ts';
import { EXIT_CODES, type ExitCode, type Terminal } from './terminal.ts';

/** For what is told of a run: where it is, and whom one talks to about it. */
export interface ViewedRun extends StartedRun {
  readonly target: TemporalTarget;
}

/** How a run is shown while it goes on and when it has ended. */
export interface FollowOptions<Result, Progress> {
  readonly terminal: Terminal;
  readonly view: (progress: Progress, run: ViewedRun) => ProgressView;
  readonly describe: (result: Result, run: ViewedRun) => string;
  readonly exitCode: (result: Result) => ExitCode;
  /** An error to be told beside a result that is none to be content with. */
  readonly complaint?: (result: Result) => HoldfastError | undefined;
  /** Whether a failed run's detail is a result too, to be shown beside the error. */
  readonly isResult: (detail: unknown) => detail is Result;
}

export interface RunWorkflowOptions<Result, Progress> extends FollowOptions<Result, Progress> {
  readonly configuration: Configuration;
  readonly workflowType: string;
  /** Beginning of the workflow's id; the time and a few random characters follow. */
  readonly name: string;
  readonly input: unknown;
  /** One line for the Web UI's list. */
  readonly summary: string;
  readonly wait: boolean;
  /** What is to be known of a run that is left to itself. */
  readonly unattended?: (run: ViewedRun) => string | undefined;
}

/**
 * Starts a workflow and stays with it: progress while it runs, its result at the end. Ctrl-C leaves the run alone and
 * says how to cancel it.
 */
export async function runWorkflow<Result, Progress>(options: RunWorkflowOptions<Result, Progress>): Promise<ExitCode> {
  const temporal = await connectTemporal(options.configuration);
  try {
    return await startAndFollow(temporal, options);
  } finally {
    await temporal.close();
  }
}

async function startAndFollow<Result, Progress>(
  temporal: TemporalClient,
  options: RunWorkflowOptions<Result, Progress>,
): Promise<ExitCode> {
  const { terminal, configuration } = options;
  await warnWithoutWorker(temporal, configuration, terminal);
  const handle = await start(temporal, options);
  const { workflowId, firstExecutionRunId: runId } = handle;
  const link = await temporal.webUiLink(workflowId, runId);
  const run = { workflowId, runId, ...(link !== undefined && { link }) };
  if (!options.wait) {
    const note = options.unattended?.({ ...run, target: temporal.target });
    const lines = [`Started ${workflowId}`, link, note].filter((line) => line !== undefined);
    terminal.answer({ started: true, ...run, ...(note !== undefined && { note }) }, () => lines.join('\n'));
    return EXIT_CODES.done;
  }
  terminal.note(`${workflowId} runs${link ? `: ${link}` : ''}`);
  return followRun({ ...run, query: () => handle.query('progress'), result: () => handle.result() }, temporal, options);
}

/** A run that nobody works for only waits. */
export async function warnWithoutWorker(
  temporal: TemporalClient,
  { temporal: { taskQueue } }: Configuration,
  terminal: Terminal,
): Promise<void> {
  if (await hasWorker(temporal, taskQueue)) return;
  terminal.warn(
    `no worker listens on the task queue ${taskQueue}: the run waits until one is started (holdfast worker)`,
  );
}

export interface StartedRun {
  readonly workflowId: string;
  readonly runId?: string;
  readonly link?: string;
}

export interface FollowedRun extends StartedRun {
  /** Answers the query `progress`. */
  readonly query: () => Promise<unknown>;
  readonly result: () => Promise<unknown>;
}

async function start<Result, Progress>({ client }: TemporalClient, options: RunWorkflowOptions<Result, Progress>) {
  try {
    return await client.workflow.start(options.workflowType, {
      workflowId: newWorkflowId(options.name),
      taskQueue: options.configuration.temporal.taskQueue,
      args: [options.input],
      staticSummary: options.summary,
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    throw new HoldfastError('RefusedForSafety', `A run called ${options.name} is under way already.`, {
      advice: 'Wait for it, or look at it in the Web UI.',
      cause: error,
    });
  }
}

/** E.g. `backup-shop-20261120T020000Z-7f3k`. */
function newWorkflowId(name: string): string {
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
  return `${name}-${time}-${randomBytes(2).toString('hex')}`;
}

/** Stays with a run: progress while it goes on, its result at the end. Ctrl-C leaves it alone. */
export async function followRun<Result, Progress>(
  { query, result: awaitResult, ...run }: FollowedRun,
  { target }: TemporalClient,
  options: FollowOptions<Result, Progress>,
): Promise<ExitCode> {
  const { terminal } = options;
  const viewed: ViewedRun = { ...run, target };
  const describe = (result: Result) => options.describe(result, viewed);
  const interrupted = terminal.interruption();
  const done = new AbortController();
  const progress = showProgress({
    terminal,
    poll: async () => options.view((await query()) as Progress, viewed),
    signal: AbortSignal.any([done.signal, interrupted]),
  });
  try {
    const result = await Promise.race([awaitResult() as Promise<Result>, rejectOn(interrupted)]);
    done.abort();
    await progress;
    const complaint = options.complaint?.(result);
    if (complaint) return terminal.failWith(complaint, { ...run, ...result }, () => describe(result));
    terminal.answer({ ...run, ...result }, () => describe(result));
    return options.exitCode(result);
  } catch (error) {
    done.abort();
    await progress;
    if (interrupted.aborted) return leave(run, target, terminal);
    const failure = failureOfRun(error, run.workflowId);
    // Temporal keeps no details of what is cancelled; the run itself can be asked.
    const ended = failure.error.type === 'Cancelled' && failure.detail === undefined ? await endOf(query) : undefined;
    const detail = ended ?? failure.detail;
    const reason = ended === undefined ? failure.error : cancelledRun(run.workflowId, ended, error);
    if (!options.isResult(detail)) throw reason;
    return terminal.failWith(reason, { ...run, ...detail }, () => describe(detail));
  }
}

/** What a run came to by its own word; undefined for one that does not say, or while no worker answers for it. */
async function endOf(query: () => Promise<unknown>): Promise<unknown> {
  const progress = await query().catch(() => undefined);
  return typeof progress === 'object' && progress !== null && 'result' in progress ? progress.result : undefined;
}

function leave({ workflowId, link }: StartedRun, { address, namespace }: TemporalTarget, terminal: Terminal): ExitCode {
  return terminal.fail(
    new HoldfastError('Cancelled', `No longer watching; ${workflowId} runs on.`, {
      advice: `Cancel it in the Web UI${link ? ` (${link})` : ''}, or with: temporal workflow cancel --address ${address} --namespace ${namespace} --workflow-id ${workflowId}`,
    }),
  );
}

function rejectOn(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
