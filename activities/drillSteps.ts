import type {
  DrillAssignment,
  DrilledPart,
  DrillInput,
  DrillNote,
  DrillStep,
  DrillTreeStep,
} from '../core/drill/run.ts';
import type { ScratchRemnants } from '../core/sweep/run.ts';

/** The steps of a drill, by the names under which Temporal knows them. */
export interface DrillSteps {
  /** Decides which copy is tried out. `seed` decides what chance decides. */
  chooseDrill(input: DrillInput, seed: number): Promise<DrillAssignment>;
  /** The same as `removeDrillDatabase`, before anything is made: what it cannot reach is soon told. */
  clearDrillDatabase(source: string): Promise<void>;
  /** Restores the database of the copy, compares it, and drops it. */
  drillDatabase(step: DrillStep): Promise<DrilledPart>;
  /** Unpacks a tree of the copy, compares it, and removes it. On the host of the assignment. */
  drillTree(step: DrillTreeStep): Promise<DrilledPart>;
  /** Drops what drills of the source have left on their server. Only for whoever has the lock of its drills. */
  removeDrillDatabase(source: string): Promise<void>;
  /** Removes what they have left on this host's disk. */
  removeDrillTrees(source: string): Promise<void>;
  /** What drills have on their servers and on this host's disk now, of every source. */
  findDrillRemnants(): Promise<ScratchRemnants>;
  /** Notes in the catalog how it went. */
  recordDrill(note: DrillNote): Promise<void>;
}
