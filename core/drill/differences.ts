import type { Difference } from '../restore/run.ts';
import { DRILL_DIFFERENCES_SHOWN, type DrillDifference } from './run.ts';

/** Characters of a definition that differs: enough to see where; the objects are named in full. */
const VALUE_LENGTH = 160;
const NAME_LENGTH = 300;

/** As many differences as fit into a history, those that count first. */
export function cutDifferences(differences: readonly Difference[]): DrillDifference[] {
  return differences.slice(0, DRILL_DIFFERENCES_SHOWN).map(cutDifference);
}

/** E.g. `rows of table public.orders: 12 instead of 15`. */
export function describeDifference({ kind, object, what, expected, found }: DrillDifference): string {
  return `${what} of ${kind} ${object}: ${found} instead of ${expected}`;
}

function cutDifference(difference: Difference): DrillDifference {
  const { expected, found, object } = difference;
  return { ...difference, object: cut(object, NAME_LENGTH), expected: cut(expected), found: cut(found) };
}

function cut(text: string, length = VALUE_LENGTH): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}
