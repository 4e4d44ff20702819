import type { LockHolder } from '../core/lockHolder.ts';

/** A lock that somebody holds. */
export interface HeldLock extends LockHolder {
  /** Run of the workflow that is the lock: another one means another holder. */
  readonly lockRunId: string;
}

/** The lock of a source, and who holds it, if anybody does. */
export interface SourceLockState {
  readonly lockId: string;
  readonly held?: HeldLock;
}

/** The steps of waiting for a source, by the names under which Temporal knows them. */
export interface LockSteps {
  /** Looks at a source's lock. One that outlived its holder is removed. */
  findLock(source: string, scope: string | undefined): Promise<SourceLockState>;
  /** Waits until that holder has let go, and says who holds the lock then. */
  waitForLock(lockId: string, held: HeldLock): Promise<HeldLock | undefined>;
}
