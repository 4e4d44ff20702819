import type { StepProblem } from '../../core/backup/run.ts';
import type { RestoreRecord } from '../../core/catalog/restores.ts';
import { describeDifference } from '../../core/drill/differences.ts';
import type {
  DrillAssignment,
  DrilledPart,
  DrillNote,
  DrillPartProgress,
  DrillPhase,
  DrillProgress,
  DrillResult,
} from '../../core/drill/run.ts';
import type { LockHolder } from '../../core/lockHolder.ts';

/** What a drill knows of itself while it runs. */
export interface DrillRun {
  readonly source: string;
  readonly seed: number;
  phase: DrillPhase;
  /** Milliseconds since the epoch. */
  begun: number;
  waitingFor?: LockHolder;
  assignment?: DrillAssignment;
  /** By name: `database`, or that of a tree. */
  readonly parts: Map<string, DrillPartProgress>;
  readonly done: DrilledPart[];
  /** The scratch database may be there. */
  databaseMade: boolean;
  readonly problems: StepProblem[];
  readonly warnings: string[];
  readonly leftBehind: string[];
}

export function beginDrill(source: string, seed: number, now: number): DrillRun {
  const lists = { parts: new Map(), done: [], problems: [], warnings: [], leftBehind: [] };
  return { source, seed, phase: 'choosing', begun: now, databaseMade: false, ...lists };
}

export function assignDrill(run: DrillRun, assignment: DrillAssignment): void {
  run.assignment = assignment;
  run.warnings.push(...assignment.warnings);
  for (const part of partNames(assignment)) run.parts.set(part, { part, state: 'waiting', bytes: 0 });
}

export function progressOf({ source, phase, waitingFor, assignment, parts, problems }: DrillRun): DrillProgress {
  return {
    source,
    phase,
    ...(phase === 'waiting' && waitingFor && { waitingFor }),
    parts: [...parts.values()],
    ...(assignment && {
      backup: assignment.location.backup,
      backend: assignment.backend,
      totalBytes: assignment.bytes,
      ...(assignment.usual !== undefined && { usual: assignment.usual }),
    }),
    ...(problems.length > 0 && { problem: problems.map(({ message }) => message).join('\n') }),
  };
}

export function partNames({ database, trees }: Pick<DrillAssignment, 'database' | 'trees'>): string[] {
  return [...(database ? ['database'] : []), ...trees];
}

/** Takes what a part came to; whether it is as it was backed up shows in the run's problems. */
export function takePart(run: DrillRun, part: DrilledPart): void {
  run.done.push(part);
  run.warnings.push(...part.warnings.map((warning) => `${part.part}: ${warning}`));
  const wrong = problemOfPart(part);
  if (wrong) run.problems.push(wrong);
  run.parts.set(part.part, { part: part.part, state: wrong ? 'failed' : 'done', bytes: part.bytes });
}

/** Differences named in a message; all that are known stand in the result. */
const NAMED = 8;

function problemOfPart({ part, differences, differenceCount, checks }: DrilledPart): StepProblem | undefined {
  const named = differences.filter(({ severity }) => severity === 'difference').slice(0, NAMED);
  const more = differenceCount - named.length;
  const sentences = [
    ...named.map(describeDifference),
    ...(more > 0 ? [`and ${more} more differences`] : []),
    ...checks
      .filter(({ passed }) => !passed)
      .map(({ name, found }) => `the check "${name}" found ${found ?? 'nothing'}`),
  ];
  if (sentences.length === 0) return undefined;
  return {
    type: 'RestoreFailed',
    message: `${part} is not what was backed up: ${sentences.join('; ')}`,
    advice:
      differenceCount > 0
        ? 'Mend what is named at the source or on the server, take a new backup, and drill that.'
        : 'Look whether the check still fits the application, or what its data lacks.',
  };
}

export function resultOf(run: DrillRun, now: number): DrillResult {
  const { source, assignment, done, problems, seed, warnings, leftBehind } = run;
  const complete = assignment !== undefined && done.length === partNames(assignment).length;
  return {
    source,
    outcome: outcomeOf(run),
    ...(assignment && {
      backup: assignment.location.backup,
      kind: assignment.kind,
      backend: assignment.backend,
      bytes: assignment.bytes,
      ...(assignment.usual !== undefined && { usual: assignment.usual }),
    }),
    parts: done,
    partial: assignment?.partial ?? false,
    ...(complete && { recovery: recoveryOf(done) }),
    duration: now - run.begun,
    ...(problems[0] && { problem: togetherAs(problems[0], problems) }),
    seed,
    past: assignment?.past ?? [],
    warnings: [...new Set(warnings)],
    leftBehind,
  };
}

function outcomeOf({ problems }: DrillRun): DrillResult['outcome'] {
  if (problems.length === 0) return 'passed';
  return problems.some(({ type }) => type === 'Cancelled') ? 'aborted' : 'failed';
}

/** One after the other, as a restore does it. */
function recoveryOf(parts: readonly DrilledPart[]): number {
  return parts.flatMap(({ phases }) => Object.values(phases)).reduce((sum, each) => sum + each, 0);
}

/** A damaged copy is the first thing to know, whatever else went wrong with it. */
function togetherAs(first: StepProblem, problems: readonly StepProblem[]): StepProblem {
  const telling = problems.find(({ type }) => LOST.includes(type)) ?? first;
  return { ...telling, message: problems.map(({ message }) => message).join('\n') };
}

const LOST: readonly StepProblem['type'][] = ['ObjectDamaged', 'ManifestInvalid', 'ObjectMissing'];

type CopyOutcome = NonNullable<DrillNote['copy']>['outcome'];

/** What the catalog is to know. Nothing is said of a copy of which something was left out, or that was not tried. */
export function noteOf(
  run: DrillRun,
  result: DrillResult,
  ids: { readonly workflowId: string; readonly runId: string },
): DrillNote {
  const { source, outcome, backup, backend, problem, recovery, bytes, partial, parts } = result;
  const record: RestoreRecord = {
    ...ids,
    kind: 'drill',
    source,
    backup,
    backend,
    parts: run.assignment ? partNames(run.assignment) : [],
    partial: false,
    outcome: outcome === 'passed' ? 'succeeded' : outcome,
    ...(problem && { problem: { type: problem.type, message: problem.message } }),
    startedAt: new Date(run.begun).toISOString(),
    endedAt: new Date(run.begun + result.duration).toISOString(),
    recovery,
    phases: Object.fromEntries(
      parts.flatMap(({ part, phases }) => Object.entries(phases).map(([name, took]) => [`${part}: ${name}`, took])),
    ),
    bytes,
    differenceCount: parts.length === 0 ? undefined : parts.reduce((sum, each) => sum + each.differenceCount, 0),
  };
  const copyOutcome = copyOutcomeOf(result);
  if (run.assignment === undefined || copyOutcome === undefined || (partial && copyOutcome === 'passed'))
    return { record };
  return { record, copy: { outcome: copyOutcome, ...(problem && { message: problem.message }) } };
}

/** What a drill says of the copy it tried. Undefined where it came to no end. */
export function copyOutcomeOf({ outcome, problem }: Pick<DrillResult, 'outcome' | 'problem'>): CopyOutcome | undefined {
  if (outcome === 'passed') return 'passed';
  if (outcome === 'aborted') return undefined;
  if (problem?.type === 'ObjectMissing') return 'missing';
  return problem !== undefined && LOST.includes(problem.type) ? 'damaged' : 'failed';
}
