import type { Finding } from '../postgres/finding.ts';
import type { Reconciliation } from './run.ts';

/*
 * Names and definitions may be as long as a server likes; what passes through a history may not. Everything is cut so that
 * a restore's result stays under 100 KB.
 */

const LONGEST_TEXT = 500;
const LONGEST_ADVICE = 2_000;
/** Characters of all differences together. */
const DIFFERENCES_BUDGET = 40_000;
const MOST_LINES = 40;

/** The first differences, as many as there is room for; `differenceCount` stays exact. */
export function shortened(reconciliation: Reconciliation): Reconciliation {
  let room = DIFFERENCES_BUDGET;
  const cut = reconciliation.differences.map((difference) => ({
    ...difference,
    object: clip(difference.object),
    expected: clip(difference.expected),
    found: clip(difference.found),
  }));
  return {
    ...reconciliation,
    differences: cut.filter((difference) => (room -= JSON.stringify(difference).length) >= 0),
    notCarried: firstLines(reconciliation.notCarried),
    notices: firstLines(reconciliation.notices),
  };
}

export function shortenedFinding({ message, advice, ...rest }: Finding): Finding {
  return { ...rest, message: clip(message), advice: clip(advice, LONGEST_ADVICE) };
}

/** The first of many, cut, and how many there are more. */
export function firstLines(lines: readonly string[]): string[] {
  const more = lines.length - MOST_LINES;
  return [...lines.slice(0, MOST_LINES).map((line) => clip(line)), ...(more > 0 ? [`${more} more.`] : [])];
}

function clip(text: string, longest = LONGEST_TEXT): string {
  return text.length <= longest ? text : `${text.slice(0, longest)}...`;
}
