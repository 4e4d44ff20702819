import type {
  HealedCopy,
  HealInput,
  HealProgress,
  HealResult,
  HealSurvey,
  LostBackup,
  SilentBackend,
  SurveyCursor,
  Wound,
} from '../../core/heal/run.ts';
import type { StepProblem } from '../../core/backup/run.ts';

/** What somebody asked this heal for, and what came of it. */
export interface HealRequest {
  readonly input: HealInput;
  /** Where an earlier run of this workflow stopped. */
  readonly after?: SurveyCursor | undefined;
  /** Set when it has been served, for those who wait for it. */
  outcome?: { readonly result: HealResult } | { readonly problem: StepProblem };
}

/** What one look at the copies found and did. */
export interface HealRound {
  readonly source: string;
  readonly copies: Map<string, HealedCopy>;
  silent: readonly SilentBackend[];
  lost: readonly LostBackup[];
  backups: number;
  copiesLookedAt: number;
  inProgress: number;
  /** Why the look itself failed. */
  problem?: StepProblem;
  readonly warnings: Set<string>;
}

/** Copies in one answer: payloads of a history stay under 100 KB. */
const LISTED_COPIES = 60;
/** Characters of one problem; the step that failed has all of it. */
const PROBLEM_LENGTH = 600;

export function beginRound(source: string): HealRound {
  return {
    source,
    copies: new Map(),
    silent: [],
    lost: [],
    backups: 0,
    copiesLookedAt: 0,
    inProgress: 0,
    warnings: new Set(),
  };
}

export function takeSurvey(round: HealRound, survey: HealSurvey): void {
  const { silent, lost, backups, copies, inProgress, warnings } = survey;
  Object.assign(round, { silent, lost, backups, copiesLookedAt: copies, inProgress: inProgress.length });
  for (const warning of warnings) round.warnings.add(warning);
}

export function takeOutcome(
  round: HealRound,
  wound: Wound,
  outcome: Partial<HealedCopy> & Pick<HealedCopy, 'outcome'>,
) {
  const { location, backend, condition, reason } = wound;
  const problem = outcome.problem && {
    ...outcome.problem,
    message: outcome.problem.message.slice(0, PROBLEM_LENGTH),
  };
  const taken: HealedCopy = {
    ...outcome,
    ...(problem && { problem }),
    backup: location.backup,
    backend,
    condition,
    reason,
  };
  round.copies.set(copyName(wound), taken);
  return taken;
}

export function copyName({ location, backend }: Pick<Wound, 'location' | 'backend'>): string {
  return `${location.backup} ${backend}`;
}

/** Whether another look may find more to be good. A backup that still runs is looked at again, too. */
export function mayImprove({ copies, silent, inProgress, problem }: HealRound): boolean {
  return (
    problem !== undefined ||
    silent.length > 0 ||
    inProgress > 0 ||
    [...copies.values()].some(({ outcome }) => outcome === 'waiting')
  );
}

export function resultOf(round: HealRound, waiting: boolean, state = stateOf(round)): HealResult {
  const { source, silent, lost, backups, copiesLookedAt, warnings } = round;
  const all = [...round.copies.values()].toSorted((a, b) => rank(a) - rank(b));
  return {
    source,
    state,
    waiting,
    backups,
    copiesLookedAt,
    copies: all.slice(0, LISTED_COPIES),
    unlisted: Math.max(0, all.length - LISTED_COPIES),
    silent,
    lost,
    warnings: [...warnings, ...(round.problem ? [round.problem.message] : [])],
  };
}

export function progressOf(
  round: HealRound,
  phase: HealProgress['phase'],
  bytes: ReadonlyMap<string, number>,
  underWay: ReadonlyMap<string, Wound>,
  nextLook: string | undefined,
): HealProgress {
  const healing = [...underWay].map(([name, { location, backend }]) => ({
    backup: location.backup,
    backend,
    state: 'healing' as const,
    bytes: bytes.get(name) ?? 0,
  }));
  const done = [...round.copies.values()].map(({ backup, backend, outcome, problem, bytes: written }) => ({
    backup,
    backend,
    state: outcome,
    bytes: written ?? 0,
    ...(problem && { problem: problem.message }),
  }));
  return {
    source: round.source,
    phase,
    copies: [...healing, ...done].slice(0, LISTED_COPIES),
    silent: round.silent,
    ...(nextLook !== undefined && { nextLook }),
  };
}

/** What is not good stands first: it must not be cut off. */
function rank({ outcome }: HealedCopy): number {
  return ['refused', 'failed', 'waiting', 'healed', 'whole'].indexOf(outcome);
}

function stateOf({ copies, silent, lost, problem }: HealRound): HealResult['state'] {
  const outcomes = [...copies.values()].map(({ outcome }) => outcome);
  if (lost.length > 0 || outcomes.includes('refused')) return 'refused';
  const wanting = problem ?? outcomes.find((outcome) => outcome === 'waiting' || outcome === 'failed');
  if (silent.length > 0 || wanting !== undefined) return 'incomplete';
  return outcomes.includes('healed') ? 'healed' : 'whole';
}

const SEVERITY: readonly HealResult['state'][] = ['whole', 'healed', 'incomplete', 'refused'];

/** The one that says more is wrong; of two alike the later one. */
export function worseOf(earlier: HealResult | undefined, later: HealResult): HealResult {
  return earlier && SEVERITY.indexOf(earlier.state) > SEVERITY.indexOf(later.state) ? earlier : later;
}

/** Why a result is not good, for a failure's message. */
export function problemsOf({ lost, copies, silent, warnings }: HealResult): string {
  const problems = [
    ...lost.map(({ reason }) => reason),
    ...copies.flatMap(({ problem }) => problem?.message ?? []),
    ...silent.map(({ backend, problem }) => `${backend} does not answer: ${problem}`),
  ];
  return [...new Set(problems.length > 0 ? problems : warnings)].join('\n');
}
