/** What the sweep has to know of workflows: plain names, for both sides of Temporal. */

/**
 * Types of workflows that write to spools or backends. While one runs, what its memo names is left alone; where it names
 * nothing yet, everything is.
 */
export const WRITING_WORKFLOWS: readonly string[] = ['backup', 'heal'];

/** Those that never do. A type that stands in neither list fails a test. */
export const READING_WORKFLOWS: readonly string[] = [
  'drill',
  'recordBackup',
  'recordRecovery',
  'restore',
  'scan',
  'sourceLock',
  'sweep',
  'verify',
];

/** Under this name a writing run's memo says what it may write. */
export const WRITES_MEMO = 'writes';

/** Without a backup: any backup of the source, on backends and not in spools. */
export interface Writes {
  readonly source: string;
  readonly backup?: string | undefined;
}
