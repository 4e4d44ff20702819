import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  defineUpdate,
  isCancellation,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { ProgressReport, StepProblem } from '../core/backup/run.ts';
import type { ErrorType } from '../core/errors.ts';
import {
  HEAL_INPUT_EXAMPLE,
  healInput,
  healWorkflowId,
  type HealInput,
  type HealProgress,
  type HealResult,
} from '../core/heal/run.ts';
import { announceWrites } from './support/announceWrites.ts';
import { describeHeal } from './support/healDetails.ts';
import { createHealer } from './support/healer.ts';
import {
  beginRound,
  mayImprove,
  problemsOf,
  progressOf,
  resultOf,
  worseOf,
  type HealRequest,
} from './support/healRun.ts';
import { invalidInput, parseInput } from './support/input.ts';
import { problemOf } from './support/problem.ts';
import { startHeal } from './support/startHeal.ts';

const progressQuery = defineQuery<HealProgress>('progress');
const progressSignal = defineSignal<[ProgressReport]>('reportProgress');
const wakeSignal = defineSignal<[unknown?]>('wake');
const healUpdate = defineUpdate<HealResult, [unknown]>('heal');

/** Milliseconds. A backend that was restarted is back in seconds, one that is down for a day is asked every half hour. */
const FIRST_PAUSE = 20_000;
const LONGEST_PAUSE = 30 * 60_000;
/** Where no survey could say it. */
const DEFAULT_PATIENCE = 7 * 24 * 3_600_000;
/** What another look would not change. */
const LASTING: readonly ErrorType[] = ['InvalidInput', 'InvalidConfiguration', 'KeyMissing'];
/** Events after which the run goes on as a new one. */
const HISTORY_LIMIT = 4_000;

/** What a run hands to the one that goes on in its place. */
export interface CarriedHeal {
  readonly requests: readonly Pick<HealRequest, 'input' | 'after'>[];
  /** Milliseconds since the epoch. */
  readonly giveUpAt: number | undefined;
  readonly pause: number;
  /** What earlier requests came to that are settled. */
  readonly worst: HealResult | undefined;
}

/**
 * Makes the copies of a source whole again where they are missing or damaged, each from copies that are good. While a
 * backend is away it waits, with growing pauses, and goes on at once when it is told. Ends well when every copy is whole.
 */
export async function heal(input: unknown, carried?: CarriedHeal): Promise<HealResult> {
  const request = parseInput(healInput, input, HEAL_INPUT_EXAMPLE);
  const { source } = request;
  if (!workflowInfo().workflowId.startsWith(healWorkflowId('', source))) return handOver(request);
  // So that nothing that this run writes is taken for what a dead one left.
  announceWrites({ source });
  let queue: HealRequest[] = carried?.requests.map((each) => ({ ...each })) ?? [{ input: request }];
  let round = beginRound(source);
  let phase: HealProgress['phase'] = 'looking';
  let nextLook: string | undefined;
  let pause = carried?.pause ?? FIRST_PAUSE;
  let giveUpAt = carried?.giveUpAt;
  const healer = createHealer(() => show());
  const progress = () => progressOf(round, phase, healer.bytes, healer.underWay, nextLook);
  const show = (end?: HealResult) => setCurrentDetails(describeHeal(progress(), end));
  const enter = (next: HealProgress['phase'], until?: number) => {
    phase = next;
    nextLook = until === undefined ? undefined : new Date(until).toISOString();
    show();
  };
  const enqueue = (wanted: HealInput): HealRequest => {
    const same = queue.find((each) => !each.after && JSON.stringify(each.input) === JSON.stringify(wanted));
    if (same) return same;
    const added: HealRequest = { input: wanted };
    queue.push(added);
    return added;
  };
  setHandler(progressQuery, progress, { description: 'What is being healed, and what waits.' });
  setHandler(
    progressSignal,
    (report) => {
      for (const [name, count] of Object.entries(report.verified ?? {})) healer.bytes.set(name, count);
      show();
    },
    { description: 'Sent by running steps; not for hands.' },
  );
  setHandler(
    wakeSignal,
    (wanted) => {
      const parsed = healInput.safeParse(wanted ?? request);
      if (parsed.success && parsed.data.source === source) enqueue(parsed.data);
    },
    { description: `Look again now. Optionally ${HEAL_INPUT_EXAMPLE}.` },
  );
  setHandler(
    healUpdate,
    async (wanted) => {
      const asked = enqueue(parseInput(healInput, wanted, HEAL_INPUT_EXAMPLE));
      await condition(() => asked.outcome !== undefined);
      if (asked.outcome && 'result' in asked.outcome) return asked.outcome.result;
      const problem = asked.outcome?.problem ?? { type: 'Unexpected', message: 'nothing came of it' };
      throw ApplicationFailure.nonRetryable(problem.message, problem.type, { problem });
    },
    {
      description: `Look now, heal what can be healed, and answer with what became of it. ${HEAL_INPUT_EXAMPLE}`,
      validator: (wanted) => {
        const parsed = parseInput(healInput, wanted, HEAL_INPUT_EXAMPLE);
        if (parsed.source !== source) throw invalidInput(`this run heals ${source}`, undefined, HEAL_INPUT_EXAMPLE);
      },
    },
  );
  // An update that came with the start is for the request that the run was started with.
  await Promise.resolve();

  let worst = carried?.worst;
  let refusal: StepProblem | undefined;
  try {
    for (;;) {
      const served = queue;
      queue = [];
      const open: HealRequest[] = [];
      for (const asked of served) {
        enter('looking');
        round = beginRound(source);
        const again = await serve(asked);
        if (again) open.push(again);
        else if (asked.outcome && 'result' in asked.outcome) worst = worseOf(worst, asked.outcome.result);
      }
      const giveUp = giveUpAt !== undefined && Date.now() + pause > giveUpAt;
      if (queue.length === 0 && (open.length === 0 || giveUp)) {
        await healer.giveUp(round);
        await condition(allHandlersFinished);
        // Whoever told this run something while it was about to end is served by it.
        if (queue.length === 0) return finish(worseOf(worst, resultOf(round, false)));
      }
      if (queue.length === 0) {
        enter('waiting', Date.now() + pause);
        const told = await condition(() => queue.length > 0, pause);
        pause = told ? FIRST_PAUSE : Math.min(LONGEST_PAUSE, pause * 2);
        if (told) healer.forget();
      }
      for (const each of open) if (!queue.some(({ input: wanted }) => includes(wanted, each.input))) queue.push(each);
      await continueIfLong();
    }
  } catch (error) {
    if (isCancellation(error)) await CancellationScope.nonCancellable(() => healer.giveUp(round));
    throw error;
  }

  /** One request, page by page. What may still get better is handed back, to be looked at again. */
  async function serve(asked: HealRequest): Promise<HealRequest | undefined> {
    const { input: wanted } = asked;
    let { after } = asked;
    try {
      do {
        const survey = await healer.look(round, { input: wanted, after });
        giveUpAt ??= Date.now() + survey.patience;
        enter('healing');
        await healer.healAll(round, survey.wounds, wanted.depth ?? 'listed');
        after = survey.next;
        // The rest is for the run that goes on in this one's place.
      } while (after && workflowInfo().historyLength <= HISTORY_LIMIT);
    } catch (error) {
      if (isCancellation(error)) throw error;
      const problem = problemOf(error);
      asked.outcome = { problem };
      if (LASTING.includes(problem.type)) {
        refusal = problem;
        return undefined;
      }
      round.problem = problem;
      giveUpAt ??= Date.now() + DEFAULT_PATIENCE;
      return { input: wanted, after };
    }
    const goesOn = after !== undefined || mayImprove(round);
    asked.outcome = { result: resultOf(round, goesOn) };
    if (after) return { input: wanted, after };
    return goesOn ? { input: againOf(wanted) } : undefined;
  }

  /** Ends the run. What is not whole now makes it fail: nobody is to read success where a copy is wanting. */
  function finish(result: HealResult): HealResult {
    if (refusal && worst === undefined) {
      const { type, message, advice } = refusal;
      if (type === 'InvalidInput') throw invalidInput(message, advice, HEAL_INPUT_EXAMPLE, { problem: refusal });
      throw ApplicationFailure.nonRetryable(message, type, { problem: refusal });
    }
    enter('done');
    show(result);
    if (result.state === 'whole' || result.state === 'healed') return result;
    const type = result.state === 'refused' ? 'RefusedForSafety' : 'TooFewCopies';
    throw ApplicationFailure.nonRetryable(problemsOf(result), type, result);
  }

  async function continueIfLong(): Promise<void> {
    const { historyLength, continueAsNewSuggested } = workflowInfo();
    if (historyLength <= HISTORY_LIMIT && !continueAsNewSuggested) return;
    await condition(allHandlersFinished);
    const requests = queue.map(({ input: wanted, after }) => ({ input: wanted, after }));
    await continueAsNew<typeof heal>(request, { requests, giveUpAt, pause, worst });
  }
}

/** There is one heal a source: what was started under another id tells that one, or starts it. */
async function handOver(request: HealInput): Promise<HealResult> {
  const told = await startHeal(request);
  setCurrentDetails(`Handed over to \`${told}\`.`);
  return resultOf(
    { ...beginRound(request.source), warnings: new Set([`Handed over to ${told}.`]) },
    true,
    'incomplete',
  );
}

/** What another look is to be: the bytes that were read need not be read again. */
function againOf({ sample: _sample, depth: _depth, ...rest }: HealInput): HealInput {
  return rest;
}

/** Whether a request covers another one. */
function includes(wider: HealInput, narrower: HealInput): boolean {
  return wider.backup === undefined && wider.backends === undefined
    ? true
    : JSON.stringify(againOf(wider)) === JSON.stringify(againOf(narrower));
}
