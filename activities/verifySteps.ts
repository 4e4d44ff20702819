import type { CopyVerdict, VerifyAssignment, VerifyCopyStep, VerifyInput } from '../core/verification/run.ts';

/** The steps of a verification, by the names under which Temporal knows them. */
export interface VerifySteps {
  /** Finds the backup and its copies. */
  findCopies(input: VerifyInput): Promise<VerifyAssignment>;
  /** One look at one copy. */
  verifyCopy(step: VerifyCopyStep): Promise<CopyVerdict>;
  /** Notes the looks in the catalog. */
  recordVerdicts(backup: string, verdicts: readonly CopyVerdict[]): Promise<void>;
}
