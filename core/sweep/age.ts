import { formatDuration } from '../format.ts';
import { parseBackupId } from '../repository/backupId.ts';

/**
 * A run shows in Temporal's list of running ones a moment after it began (its visibility store is written behind), so
 * what is younger than this is never judged by that list. Milliseconds.
 */
export const LEAST_AGE = 10_000;

export interface Ages {
  readonly backup: string;
  /** The newest change to any of it. */
  readonly changedAt: Date;
}

/** Why it is too young to be removed, or undefined. Both the run's beginning and the last change have to be old enough. */
export function tooYoung({ backup, changedAt }: Ages, minimumAge: number, now: Date): string | undefined {
  const needed = Math.max(minimumAge, LEAST_AGE);
  const since = Math.max(parseBackupId(backup).time.getTime(), changedAt.getTime());
  if (now.getTime() - since >= needed) return undefined;
  return `younger than ${formatDuration(needed)}`;
}
