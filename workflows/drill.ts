import {
  ActivityCancellationType,
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  defineQuery,
  defineSignal,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { DrillSteps } from '../activities/drillSteps.ts';
import {
  DRILL_INPUT_EXAMPLE,
  drillInput,
  type DrillAssignment,
  type DrilledPart,
  type DrillInput,
  type DrillProgress,
  type DrillReport,
  type DrillResult,
  type DrillStep,
} from '../core/drill/run.ts';
import { describeDrill } from './support/drillDetails.ts';
import {
  assignDrill,
  beginDrill,
  copyOutcomeOf,
  noteOf,
  partNames,
  progressOf,
  resultOf,
  takePart,
  type DrillRun,
} from './support/drillRun.ts';
import { invalidInput, parseInput } from './support/input.ts';
import { problemOf } from './support/problem.ts';
import { withSourceLock } from './support/sourceLock.ts';
import { recordNowOrLater } from './support/recordRecovery.ts';
import { startHeal } from './support/startHeal.ts';
import { HEARTBEAT_TIMEOUT, longRunning, takenOver } from './support/steps.ts';

const short = { ...takenOver, startToCloseTimeout: '10m', heartbeatTimeout: HEARTBEAT_TIMEOUT } as const;
const { chooseDrill, clearDrillDatabase } = proxyActivities<DrillSteps>(short);
// What a cancellation ends is the waiting for the next try; one that is under way comes to its end.
const { removeDrillDatabase } = proxyActivities<DrillSteps>({
  ...short,
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
});
const { drillDatabase } = proxyActivities<DrillSteps>({ ...takenOver, ...longRunning });

const progressQuery = defineQuery<DrillProgress>('progress');
const reportSignal = defineSignal<[DrillReport]>('reportDrill');

/**
 * Proves that a backup can be recovered from, and how long that takes: restores one copy of it into a scratch database
 * and scratch directories, compares everything with what was backed up, and removes it all. A drill that does not come
 * out as it should fails the workflow with the objects' names; the failure carries the result as its detail.
 */
export async function drill(input: unknown): Promise<DrillResult> {
  const request = parseInput(drillInput, input, DRILL_INPUT_EXAMPLE);
  const run = beginDrill(request.source, request.seed ?? Math.floor(Math.random() * 2 ** 32), Date.now());
  const show = (end?: DrillResult) => setCurrentDetails(describeDrill(progressOf(run), run.assignment, end));
  setHandler(progressQuery, () => progressOf(run), { description: 'How far the drill is.' });
  setHandler(
    reportSignal,
    (report) => {
      if (run.parts.has(report.part)) run.parts.set(report.part, report);
      show();
    },
    { description: 'Sent by running steps; not for hands.' },
  );
  // Nothing of the source is changed, so backups go on; but one drill at a time has the scratch database.
  const lock = {
    purpose: 'drill',
    scope: 'drill',
    whenBusy: request.whenBusy ?? 'wait',
    onWaiting: (holder: NonNullable<DrillRun['waitingFor']>) => {
      run.phase = 'waiting';
      run.waitingFor = holder;
      show();
    },
  };
  const result = await withSourceLock(request.source, lock, async () => {
    run.begun = Date.now();
    await perform(run, request, show);
    return settle(run, request);
  });
  run.phase = 'done';
  show(result);
  if (result.outcome !== 'passed') throw failureOf(result);
  return result;
}

/** Does the work and notes in `run` how it went. Never rejects. */
async function perform(run: DrillRun, request: DrillInput, show: () => void): Promise<void> {
  try {
    run.phase = 'choosing';
    show();
    const assignment = await chooseDrill(request, run.seed);
    assignDrill(run, assignment);
    const step: DrillStep = { assignment, noOwner: request.noOwner, noPrivileges: request.noPrivileges };
    run.phase = 'restoring';
    try {
      // One after the other, as a restore does it: what they take together is the time to recover.
      for (const part of partNames(assignment)) await tryPart(run, step, part, show);
    } finally {
      run.phase = 'removing';
      show();
      await removeAll(run, step);
    }
  } catch (error) {
    run.problems.push(problemOf(error));
  }
}

/** One part's failure does not keep the others from being tried. */
async function tryPart(run: DrillRun, step: DrillStep, part: string, show: () => void): Promise<void> {
  try {
    takePart(run, await drillPart(run, step, part));
  } catch (error) {
    if (isCancellation(error)) throw error;
    run.problems.push(problemOf(error));
    run.parts.set(part, { part, state: 'failed', bytes: run.parts.get(part)?.bytes ?? 0 });
  }
  show();
}

async function drillPart(run: DrillRun, step: DrillStep, part: string): Promise<DrilledPart> {
  const { location, backend } = step.assignment;
  const options = { summary: `${part} of ${location.backup} from ${backend}` };
  if (part === 'database') {
    await clearBefore(run, location.source);
    return drillDatabase.executeWithOptions(options, [step]);
  }
  return stepsOnHost(step.assignment).drillTree.executeWithOptions(options, [{ ...step, tree: part }]);
}

/** Where nothing was reached nothing was made; what an earlier drill left there, the next one removes. */
async function clearBefore(run: DrillRun, source: string): Promise<void> {
  try {
    await clearDrillDatabase(source);
    run.databaseMade = true;
  } catch (error) {
    run.databaseMade = !['SourceUnreachable', 'Cancelled'].includes(problemOf(error).type);
    throw error;
  }
}

/** Trees lie on the disk of one host, where whoever goes on with them finds what was left. */
function stepsOnHost({ hostQueue, takeoverAfter }: DrillAssignment) {
  const onHost = { ...takenOver, taskQueue: hostQueue, scheduleToStartTimeout: takeoverAfter };
  const { drillTree } = proxyActivities<DrillSteps>({ ...longRunning, ...onHost });
  const { removeDrillTrees } = proxyActivities<DrillSteps>({
    ...onHost,
    startToCloseTimeout: '10m',
    heartbeatTimeout: HEARTBEAT_TIMEOUT,
  });
  return { drillTree, removeDrillTrees };
}

/**
 * Each step has removed its own already, unless its worker was killed or the server was away. A drill that was cancelled
 * removes what it made; who cancels while it is removed does not want to wait for a server any longer.
 */
async function removeAll(run: DrillRun, step: DrillStep): Promise<void> {
  const { trees, location } = step.assignment;
  const cancelled = CancellationScope.current().consideredCancelled;
  const attempt = async (otherwise: string, remove: () => Promise<void>) => {
    try {
      await remove();
    } catch (error) {
      run.leftBehind.push(`${otherwise}: ${problemOf(error).message}`);
    }
  };
  if (run.databaseMade)
    await attempt(
      `The scratch database of ${location.source} could not be dropped, which the next drill or sweep does`,
      () => new CancellationScope({ cancellable: !cancelled }).run(() => removeDrillDatabase(location.source)),
    );
  if (trees.length > 0)
    await attempt('Unpacked files could not be removed', () =>
      CancellationScope.nonCancellable(() => stepsOnHost(step.assignment).removeDrillTrees(location.source)),
    );
}

/** The catalog hears of it, now or later, and whoever heals. Cancelled or not, the verdict stands. */
async function settle(run: DrillRun, request: DrillInput): Promise<DrillResult> {
  return CancellationScope.nonCancellable(async () => {
    const result = resultOf(run, Date.now());
    // What was misspelt is no drill that failed.
    if (result.problem?.type === 'InvalidInput') return result;
    run.phase = 'recording';
    const { workflowId, runId } = workflowInfo();
    const recorded = await recordNowOrLater(noteOf(run, result, { workflowId, runId }));
    return healAfter(recorded === 'pending' ? { ...result, catalog: 'pending' } : result, request);
  });
}

async function healAfter(result: DrillResult, { heal }: DrillInput): Promise<DrillResult> {
  const outcome = copyOutcomeOf(result);
  if (heal === false || (outcome !== 'damaged' && outcome !== 'missing')) return result;
  const { source, backup } = result;
  // What the catalog does not know yet has to be found by reading.
  const depth = result.catalog === 'pending' ? ({ depth: 'stored' } as const) : {};
  try {
    return { ...result, heal: await startHeal({ source, ...(backup !== undefined && { backup }), ...depth }) };
  } catch (error) {
    return { ...result, warnings: [...result.warnings, `Its heal could not be started: ${problemOf(error).message}`] };
  }
}

function failureOf(result: DrillResult): Error {
  const { problem, backup, backend } = result;
  if (result.outcome === 'aborted') return new CancelledFailure('Stopped on request.', [result]);
  const message = problem?.message ?? 'The drill failed.';
  if (problem?.type === 'InvalidInput') return invalidInput(message, problem.advice, DRILL_INPUT_EXAMPLE, result);
  const what = backup === undefined ? '' : `The drill of ${backup} from ${backend ?? 'a storage'} failed: `;
  return ApplicationFailure.nonRetryable(`${what}${message}`, problem?.type ?? 'RestoreFailed', result);
}
