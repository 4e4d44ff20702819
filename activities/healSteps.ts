import type { CopyHealing, HealCopyStep, HealInput, HealNote, HealSurvey, SurveyStep } from '../core/heal/run.ts';
import type { ScanAssignment } from '../core/heal/scan.ts';

/** The steps of a heal and of the daily scan, by the names under which Temporal knows them. */
export interface HealSteps {
  /** Looks which copies of a source are missing, damaged, or to be read back. Changes no copy. */
  findWounds(step: SurveyStep): Promise<HealSurvey>;
  /** Makes one copy whole, or finds that it is. */
  healCopy(step: HealCopyStep): Promise<CopyHealing>;
  /** Notes in the catalog what was found, done or given up. Gives the ids of backups that it does not know. */
  noteHealing(notes: readonly HealNote[]): Promise<string[]>;
  /** Starts the heal of a source, or tells the one that runs. Gives its workflow id. */
  startHeal(input: HealInput): Promise<string>;
  /** The sources that the daily scan looks at. */
  findSources(): Promise<ScanAssignment>;
}
