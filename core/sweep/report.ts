import type { KeptRemnant, Remnant, SweepReport } from './run.ts';

/** Entries of each list that a report carries: it passes through a workflow's history. */
const LISTED = 100;
const LISTED_PROBLEMS = 20;

/** Hears of each thing that was removed, kept or could not be removed, as it happens. */
export interface SweepListener {
  readonly onSwept: (remnant: Remnant) => void;
  readonly onKept: (remnant: KeptRemnant) => void;
  readonly onProblem: (problem: string) => void;
}

export interface ReportBook extends SweepListener {
  finish(): SweepReport;
}

/** Gathers what a sweep of one place did, and tells each thing on. */
export function openReport(place: string, listener: SweepListener, foreign: number): ReportBook {
  const swept: Remnant[] = [];
  const kept: KeptRemnant[] = [];
  const problems: string[] = [];
  let unlisted = 0;
  const note = <Entry>(list: Entry[], entry: Entry, most: number) => {
    if (list.length < most) list.push(entry);
    else unlisted += 1;
  };
  return {
    onSwept: (remnant) => {
      note(swept, remnant, LISTED);
      listener.onSwept(remnant);
    },
    onKept: (remnant) => {
      note(kept, remnant, LISTED);
      listener.onKept(remnant);
    },
    onProblem: (problem) => {
      note(problems, problem, LISTED_PROBLEMS);
      listener.onProblem(problem);
    },
    finish: () => ({ place, swept, kept, foreign, problems, unlisted }),
  };
}
