import type {
  PlanRequest,
  ReconciledTarget,
  RestorePlan,
  RestoreStep,
  SwapStep,
  TreeStep,
} from '../core/restore/flow.ts';
import type { RestoreRecord } from '../core/catalog/restores.ts';
import type { DeadTargets } from '../core/restore/database/deadTargets.ts';
import type { RestoredDatabase } from '../core/restore/run.ts';
import type { ScratchRemnants } from '../core/sweep/run.ts';
import type { PlacedTree, RestoredTree, TakenBackTree, TreeComparison } from '../core/restore/trees/trees.ts';
import type { CheckOutcome } from '../core/restore/reconcile/sqlChecks.ts';

/** The steps of a restore, by the names under which Temporal knows them. */
export interface RestoreSteps {
  /** Looks what the restore would do and whether it can succeed. Changes nothing. */
  planRestore(request: PlanRequest): Promise<RestorePlan>;
  /** Makes the roles that are missing on the server. Gives their names. */
  createRoles(step: RestoreStep): Promise<string[]>;
  /** Makes the new database of the backup. It has its restore's mark then. */
  restoreDatabase(step: RestoreStep): Promise<RestoredDatabase>;
  /** Holds the new database against the inventory of the backup. */
  reconcileDatabase(step: RestoreStep): Promise<ReconciledTarget>;
  /** Asks a database what the source wants to be true of it: the restored one, or the one in place. */
  checkDatabase(step: RestoreStep, name: string): Promise<CheckOutcome[]>;
  /** Takes the mark from a new database: it is done. */
  releaseDatabase(step: SwapStep): Promise<void>;
  /** Puts the new database in place and keeps the one of before. */
  swapDatabases(step: SwapStep): Promise<void>;
  /** Puts the one of before back. Answers `before` where the new one never was in place. */
  undoSwap(step: SwapStep): Promise<'before' | 'undone'>;
  /** Drops what this restore left unfinished. */
  dropUnfinished(step: RestoreStep): Promise<void>;
  /** Drops what dead restores of the source left. Gives the names, and what is left alone. */
  dropDead(step: RestoreStep): Promise<DeadTargets>;
  /** What restores have on their servers and on this host's disk that are not at their end, of every source. */
  findRestoreRemnants(): Promise<ScratchRemnants>;
  /** Removes what restores of the source left. Only for whoever has its lock. On this host. */
  removeRestoreRemnants(source: string): Promise<void>;
  /** Notes in the catalog what the restore came to. */
  recordRestore(record: RestoreRecord): Promise<void>;
}

/** The steps that restore a file tree, on the host that has it. */
export interface RestoreTreeSteps {
  /** Unpacks a tree into a directory of the restore's own. */
  restoreTree(step: TreeStep): Promise<RestoredTree>;
  /** Holds that against the backup. */
  compareTree(step: TreeStep, directory: string): Promise<TreeComparison>;
  /** Puts it where it belongs; what is there is kept. */
  placeTree(step: TreeStep): Promise<PlacedTree>;
  /** Puts back what was there. Says where the restored one is kept. */
  takeBackTree(step: TreeStep): Promise<TakenBackTree>;
  /** Ends the restore of the tree: removes what is unfinished. */
  dropTree(step: TreeStep): Promise<void>;
}
