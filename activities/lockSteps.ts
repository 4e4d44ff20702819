import type { LockHolder } from '../core/lockHolder.ts';

/** A lock that somebody holds. */
export interface HeldLock extends LockHolder {
  /** Run of the workflow that is the lock: another one means another holder. */
  readonly lockRunId: string;
}

/** The steps of waiting for a source, by the names under which Temporal knows them. */
export interface LockSteps {
  /** Who holds the lock; undefined where it is free. A lock that outlived its holder is removed. */
  findHolder(lockId: string): Promise<HeldLock | undefined>;
  /** Waits until that holder has let go, and says who holds the lock then. */
  waitForLock(lockId: string, held: HeldLock): Promise<HeldLock | undefined>;
}
