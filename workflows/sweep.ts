import {
  ApplicationFailure,
  defineQuery,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  setHandler,
} from '@temporalio/workflow';
import type { SweepSteps } from '../activities/sweepSteps.ts';
import {
  SWEEP_INPUT_EXAMPLE,
  sweepInput,
  type SweepAssignment,
  type SweepInput,
  type SweepProgress,
  type SweepReport,
  type SweepResult,
} from '../core/sweep/run.ts';
import { invalidInput, parseInput } from './support/input.ts';
import { problemOf } from './support/problem.ts';
import { HEARTBEAT_TIMEOUT, longRunning, takenOver } from './support/steps.ts';
import { describeSweep } from './support/sweepDetails.ts';
import { sweepDrills, sweepRestores } from './support/sweepScratch.ts';

const { assignSweep } = proxyActivities<SweepSteps>({
  ...takenOver,
  startToCloseTimeout: '1m',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
});
const { sweepBackend } = proxyActivities<SweepSteps>({ ...takenOver, ...longRunning });

const progressQuery = defineQuery<SweepProgress>('progress');

/**
 * Removes what dead runs left: in the spool of one host, on backends uploads under way and objects without a
 * manifest, and what drills and restores made for themselves. What a run under way may write is never touched. A place that
 * cannot be swept makes the result `degraded`; the next sweep tries again.
 */
export async function sweep(input: unknown): Promise<SweepResult> {
  const request = parseInput(sweepInput, input, SWEEP_INPUT_EXAMPLE);
  const { backends, spoolQueue, ...rules } = await assign(request);
  const { sweepSpool } = proxyActivities<SweepSteps>({
    ...takenOver,
    ...longRunning,
    taskQueue: spoolQueue,
    scheduleToStartTimeout: '10m',
  });
  const states = new Map<string, SweepProgress['places'][number]['state']>();
  const reports: SweepReport[] = [];
  setHandler(progressQuery, () => ({ places: [...states].map(([place, state]) => ({ place, state })) }), {
    description: 'Which places are swept.',
  });
  const show = () => setCurrentDetails(describeSweep(rules, [...states], reports));
  const sweepPlace = async (place: string, work: () => Promise<SweepReport>): Promise<SweepReport> => {
    states.set(place, 'sweeping');
    show();
    const report = await work().catch((error: unknown) => failedReport(place, error));
    states.set(place, report.problems.length === 0 ? 'done' : 'failed');
    reports.push(report);
    show();
    return report;
  };
  const all = await Promise.all([
    sweepPlace('spool', () => sweepSpool.executeWithOptions({ summary: 'the spool' }, [rules])),
    sweepPlace('drills', () => sweepDrills(rules, spoolQueue)),
    sweepPlace('restores', () => sweepRestores(rules, spoolQueue)),
    ...backends.map((backend) =>
      sweepPlace(`backend ${backend}`, () =>
        sweepBackend.executeWithOptions({ summary: `on ${backend}` }, [{ ...rules, backend }]),
      ),
    ),
  ]);
  const state = all.every(({ problems }) => problems.length === 0) ? 'done' : 'degraded';
  return { ...rules, state, reports: all };
}

/** What is wrong with the request is the run's own failure, and not only a step's. */
async function assign(request: SweepInput): Promise<SweepAssignment> {
  try {
    return await assignSweep(request);
  } catch (error) {
    if (isCancellation(error)) throw error;
    const { type, message, advice } = problemOf(error);
    const details = advice === undefined ? [] : [{ advice }];
    if (type === 'InvalidInput') throw invalidInput(message, advice, SWEEP_INPUT_EXAMPLE, ...details);
    throw ApplicationFailure.nonRetryable(message, type, ...details);
  }
}

function failedReport(place: string, error: unknown): SweepReport {
  if (isCancellation(error)) throw error;
  return { place, swept: [], kept: [], foreign: 0, problems: [problemOf(error).message], unlisted: 0 };
}
