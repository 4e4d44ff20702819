import type { Reconciliation } from '../run.ts';

/** What a restored database was held against, in words. */
export function describeCompared(compared: Reconciliation['compared']): string {
  const { tables, rows, sequences, objects, largeObjects } = compared;
  const counted = rows === undefined ? 'whose rows the backup did not count' : `${rows} rows`;
  return `${tables} tables, ${counted}, ${sequences} sequences, ${objects} objects, ${largeObjects} large objects`;
}
