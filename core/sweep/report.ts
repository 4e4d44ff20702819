import type { KeptRemnant, Remnant, SweepReport, SweepRules } from './run.ts';

/** Problems in a report, and characters of a sentence: reports pass through a workflow's history, errors may be long. */
const LISTED_PROBLEMS = 10;
const LONGEST_SENTENCE = 240;

/** Hears of each thing that was removed, kept or could not be removed, as it happens. */
export interface SweepListener {
  readonly onSwept: (remnant: Remnant) => void;
  readonly onKept: (remnant: KeptRemnant) => void;
  readonly onProblem: (problem: string) => void;
}

export interface ReportBook extends SweepListener {
  finish(): SweepReport;
}

/** Gathers what a sweep of one place did, so much of it as may be listed, and tells each thing on. */
export function openReport(place: string, listener: SweepListener & SweepRules, foreign: number): ReportBook {
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
      note(swept, remnant, listener.listed);
      listener.onSwept(remnant);
    },
    onKept: (remnant) => {
      note(kept, { ...remnant, why: shortened(remnant.why) }, listener.listed);
      listener.onKept(remnant);
    },
    onProblem: (problem) => {
      note(problems, shortened(problem), LISTED_PROBLEMS);
      listener.onProblem(problem);
    },
    finish: () => ({ place, swept, kept, foreign, problems, unlisted }),
  };
}

function shortened(sentence: string): string {
  return sentence.length <= LONGEST_SENTENCE ? sentence : `${sentence.slice(0, LONGEST_SENTENCE - 3)}...`;
}
