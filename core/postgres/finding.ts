import type { ErrorType } from '../errors.ts';

/** Something that stands in the way of a backup, or that one should know about it. */
export interface Finding {
  readonly severity: 'failure' | 'warning';
  /** What a backup that meets this failure fails with. */
  readonly type: ErrorType;
  readonly message: string;
  readonly advice: string;
}
