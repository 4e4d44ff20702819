import {
  ApplicationFailure,
  defineQuery,
  defineSignal,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  setHandler,
} from '@temporalio/workflow';
import type { VerifySteps } from '../activities/verifySteps.ts';
import type { ProgressReport } from '../core/backup/run.ts';
import type { BackupLocation } from '../core/repository/layout.ts';
import { formatBytes, formatDuration } from '../core/format.ts';
import {
  VERIFY_INPUT_EXAMPLE,
  verifyInput,
  type CopyVerdict,
  type VerifyAssignment,
  type VerifyInput,
  type VerifyProgress,
  type VerifyResult,
} from '../core/verification/run.ts';
import { invalidInput, parseInput } from './support/input.ts';
import { problemOf } from './support/problem.ts';
import { drillCopies } from './support/drillCopies.ts';
import { startHeal } from './support/startHeal.ts';
import { HEARTBEAT_TIMEOUT, longRunning, takenOver } from './support/steps.ts';

const { findCopies, recordVerdicts } = proxyActivities<VerifySteps>({
  ...takenOver,
  startToCloseTimeout: '2m',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
});
const { verifyCopy } = proxyActivities<VerifySteps>({ ...takenOver, ...longRunning });

const progressQuery = defineQuery<VerifyProgress>('progress');
const progressSignal = defineSignal<[ProgressReport]>('reportProgress');

/**
 * Reads the copies of a backup back and says of each whether it is good. A copy that is missing, damaged or could not be
 * looked at fails the workflow; the failure carries the result as its detail.
 */
export async function verify(input: unknown): Promise<VerifyResult> {
  const request = parseInput(verifyInput, input, VERIFY_INPUT_EXAMPLE);
  const bytes = new Map<string, number>();
  const verdicts = new Map<string, CopyVerdict>();
  const found: { assignment?: VerifyAssignment } = {};
  const progress = (): VerifyProgress => ({
    backup: found.assignment?.location.backup ?? request.backup,
    copies: (found.assignment?.backends ?? []).map((backend) => ({
      backend,
      state: verdicts.get(backend)?.outcome ?? 'reading',
      bytes: verdicts.get(backend)?.bytes ?? bytes.get(backend) ?? 0,
    })),
  });
  const show = () => setCurrentDetails(describe(progress(), [...verdicts.values()]));
  setHandler(progressQuery, progress, { description: 'How far the verification is.' });
  setHandler(
    progressSignal,
    (report) => {
      for (const [backend, count] of Object.entries(report.verified ?? {})) bytes.set(backend, count);
      show();
    },
    { description: 'Sent by running steps; not for hands.' },
  );

  const assignment = await find(request);
  found.assignment = assignment;
  const { location, depth, backends } = assignment;
  const take = (verdict: CopyVerdict) => {
    verdicts.set(verdict.backend, verdict);
    show();
  };
  const untold =
    depth === 'restored'
      ? await drillCopies(location, backends, take)
      : await lookAtCopies(location, depth, backends, take);
  const copies = backends.flatMap((backend) => verdicts.get(backend) ?? []);
  const warnings = [...assignment.warnings, ...untold];
  const passed = copies.length > 0 && copies.every(({ outcome }) => outcome === 'passed');
  const result: VerifyResult = { backup: location.backup, source: location.source, depth, passed, copies, warnings };
  if (passed) return result;
  const problems = copies.flatMap((copy) => copy.problems);
  const damaged = copies.some(({ outcome }) => outcome === 'damaged' || outcome === 'missing');
  const healed = damaged && request.heal !== false ? await healAfter(result, untold.length === 0) : result;
  throw ApplicationFailure.nonRetryable(
    problems.join('\n') || `No copy of ${location.backup} was found.`,
    damaged ? 'ObjectDamaged' : depth === 'restored' ? 'RestoreFailed' : 'ObjectMissing',
    healed,
  );
}

/** What is wrong with the request is the run's own failure, with its advice, and not only a step's. */
async function find(request: VerifyInput): Promise<VerifyAssignment> {
  try {
    return await findCopies(request);
  } catch (error) {
    if (isCancellation(error)) throw error;
    const { type, message, advice } = problemOf(error);
    const details = advice === undefined ? [] : [{ advice }];
    if (type === 'InvalidInput') throw invalidInput(message, advice, VERIFY_INPUT_EXAMPLE, ...details);
    throw ApplicationFailure.nonRetryable(message, type, ...details);
  }
}

/**
 * The verdict stands whether or not somebody mends what it found. The heal learns from the catalog which copies are bad;
 * what was not noted there it has to find by reading.
 */
async function healAfter(result: VerifyResult, noted: boolean): Promise<VerifyResult> {
  const { source, backup, depth } = result;
  try {
    const wanted = depth === 'restored' ? 'opened' : depth;
    return { ...result, heal: await startHeal({ source, backup, ...(!noted && { depth: wanted }) }) };
  } catch (error) {
    if (isCancellation(error)) throw error;
    return { ...result, warnings: [...result.warnings, `Its heal could not be started: ${problemOf(error).message}`] };
  }
}

/** All at once; the catalog hears of it here. Answers what it was not told. */
async function lookAtCopies(
  location: BackupLocation,
  depth: Look['depth'],
  backends: readonly string[],
  take: (verdict: CopyVerdict) => void,
): Promise<string[]> {
  const verdicts = await Promise.all(
    backends.map(async (backend) => {
      const verdict = await lookAt({ location, depth, backend });
      take(verdict);
      return verdict;
    }),
  );
  return record(location.backup, verdicts);
}

type Look = Parameters<VerifySteps['verifyCopy']>[0];

/** A look that cannot be finished says nothing about the copy, and nothing good about the verification. */
async function lookAt(look: Look): Promise<CopyVerdict> {
  const begun = Date.now();
  try {
    return await verifyCopy.executeWithOptions({ summary: `${look.depth} on ${look.backend}` }, [look]);
  } catch (error) {
    if (isCancellation(error)) throw error;
    const { backend, depth } = look;
    const at = new Date().toISOString();
    return {
      backend,
      depth,
      outcome: 'failed',
      problems: [problemOf(error).message],
      bytes: 0,
      duration: Date.now() - begun,
      at,
    };
  }
}

/** The verdict stands whether or not the catalog hears of it. */
async function record(backup: string, copies: readonly CopyVerdict[]): Promise<string[]> {
  try {
    await recordVerdicts(backup, copies);
    return [];
  } catch (error) {
    if (isCancellation(error)) throw error;
    return [`The catalog was not told: ${problemOf(error).message}`];
  }
}

function describe({ backup, copies }: VerifyProgress, verdicts: readonly CopyVerdict[]): string {
  const rows = copies.map(({ backend, state, bytes }) => `| ${backend} | ${state} | ${formatBytes(bytes)} |`);
  const problems = verdicts.flatMap(({ problems: list, duration }) =>
    list.map((text) => `- ${text} (after ${formatDuration(duration)})`),
  );
  return [
    `### Verification of ${backup}`,
    '',
    '| backend | state | read |',
    '| --- | --- | --- |',
    ...rows,
    '',
    ...problems,
  ].join('\n');
}
