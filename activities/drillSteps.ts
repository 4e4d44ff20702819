import type {
  DrillAssignment,
  DrilledPart,
  DrillInput,
  DrillNote,
  DrillStep,
  DrillTreeStep,
} from '../core/drill/run.ts';

/** The steps of a drill, by the names under which Temporal knows them. */
export interface DrillSteps {
  /** Decides which copy is tried out. `seed` decides what chance decides. */
  chooseDrill(input: DrillInput, seed: number): Promise<DrillAssignment>;
  /** Restores the database of the copy, compares it, and drops it. */
  drillDatabase(step: DrillStep): Promise<DrilledPart>;
  /** Unpacks a tree of the copy, compares it, and removes it. On the host of the assignment. */
  drillTree(step: DrillTreeStep): Promise<DrilledPart>;
  /** Drops what the scratch database's server has left of this drill. Answers what it cannot drop, in words. */
  removeDrillDatabase(step: DrillStep): Promise<void>;
  /** Removes what this host's disk has left of this drill. */
  removeDrillTrees(step: DrillStep): Promise<void>;
  /** Notes in the catalog how it went. */
  recordDrill(note: DrillNote): Promise<void>;
}
