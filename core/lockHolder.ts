/** Who works on a source at the moment, so that nobody else does. */
export interface LockHolder {
  /** The run that holds the lock. */
  readonly workflowId: string;
  /** What it does, e.g. `backup`. */
  readonly purpose: string;
  /** ISO 8601. */
  readonly since: string;
}
