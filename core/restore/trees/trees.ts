import type { PathList } from '../../backup/part.ts';
import type { LeftOut } from '../../files/archiveGuard.ts';
import type { ArchiveTotals } from '../../files/listArchive.ts';
import type { TarProgram } from '../../files/tarProgram.ts';
import type { Finding } from '../../postgres/finding.ts';
import type { Manifest } from '../../repository/manifest.ts';
import type { OpeningKey } from '../../seal/keys.ts';
import type { Difference, PassedOver, RestoreCopy } from '../run.ts';

/*
 * What the steps of restoring file trees are asked and what they answer, in their order: `planTrees` (planTrees.ts) looks
 * and changes nothing; `restoreTree` (restoreTree.ts) unpacks into a staging directory; `compareTree` (compareTree.ts)
 * holds that against the backup; `placeTree` puts it where it belongs and `takeBackTree` undoes that (placeTree.ts);
 * `dropTreeLeftOvers` (placeTree.ts) ends every restore of a tree, however it went. Each may be called again after it was
 * killed at any instant. Answers are plain data: they may pass through histories.
 */

/**
 * `new`: a new directory at the path itself, where nothing may be. `beside`: a new directory `<path>_restored_<id>`.
 * `in-place`: what is there now is kept as `<path>_before_<id>`.
 */
export type TreeMode = 'new' | 'beside' | 'in-place';

/** Where a tree goes. The same for every step of one restore. */
export interface TreePlace {
  /** Name of the tree, which is that of its part. */
  readonly tree: string;
  /** Absolute path where the tree lives, or would live. A symbolic link means the directory it points at. */
  readonly path: string;
  readonly mode: TreeMode;
  /** Becomes part of names. Letters, digits, `-` and `_`; another one for each restore. */
  readonly id: string;
  /** Says whose the staging directory is, over all tries: e.g. a workflow's id. */
  readonly mark: string;
  /**
   * Only these files and folders, relative to the tree, with all they hold. In place each of them takes the place of the
   * one that is there, which is kept as `<name>_before_<id>` beside it; all else of the tree stays as it is. Empty or unset: all.
   */
  readonly paths?: readonly string[] | undefined;
}

/** A backup that holds trees, and what opens it. */
export interface TreeBackup {
  /** In the order in which they are to be tried. */
  readonly copies: readonly RestoreCopy[];
  readonly manifest: Manifest;
  readonly openingKeys: readonly OpeningKey[];
}

/** What of a tree is written, and by what. The same for `restoreTree` and `compareTree`. */
export interface TreeExtent {
  /** From `findTar`; without one node-tar unpacks: no sparse files, extended attributes and ACLs. */
  readonly tar: TarProgram | undefined;
  /** Owners as they were, by number. Unset: where this process is root. */
  readonly owners?: boolean | undefined;
  /** Symbolic links that lead out of the tree too. Unset: they are left out and listed. */
  readonly outsideLinks?: boolean | undefined;
  /** FIFOs and devices too; needs root and GNU tar. Unset: they are left out and listed. */
  readonly specialFiles?: boolean | undefined;
}

/** A directory of Holdfast's own that no tree may be put over. */
export interface OwnDirectory {
  /** E.g. `the storage local`, `the spool`. */
  readonly what: string;
  readonly path: string;
}

export interface PlannedTree extends TreePlace {
  /** As configured: what of the tree no backup holds. */
  readonly exclude?: readonly string[] | undefined;
}

export interface PlanTreesOptions extends Pick<TreeExtent, 'tar' | 'owners' | 'outsideLinks'> {
  readonly manifest: Manifest;
  readonly trees: readonly PlannedTree[];
  readonly ownDirectories?: readonly OwnDirectory[] | undefined;
}

/** What would happen to one tree. */
export interface TreePlan {
  readonly tree: string;
  readonly mode: TreeMode;
  /** Where it will stand: for `paths` in place each of them, otherwise one directory. */
  readonly targets: readonly string[];
  /** What is there now will be kept under these names; empty where nothing is there. */
  readonly keptAs: readonly string[];
  /** Of the whole tree, also where only some paths are restored. */
  readonly files: number;
  readonly bytes: number;
  /** On the target's file system, of the whole tree. */
  readonly requiredBytes: number;
  readonly freeBytes?: number;
  /** Failures first. Empty of failures: the restore may begin. */
  readonly findings: readonly Finding[];
}

export interface RestoreTreeOptions extends TreeBackup, TreeExtent {
  readonly place: TreePlace;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: TreeProgress) => void) | undefined;
}

export interface TreeProgress {
  readonly tree: string;
  /** The copy that is being read. */
  readonly backend: string;
  /** Uncompressed bytes read of the part, and how many there are. */
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface RestoredTree {
  readonly tree: string;
  /** Where it is until `placeTree`. */
  readonly directory: string;
  /** The copy it came from. */
  readonly backend: string;
  readonly totals: ArchiveTotals;
  readonly leftOut: LeftOut;
  /** Of the wanted paths those that are left out themselves; unset where none is. */
  readonly omitted?: readonly string[];
  readonly passedOver: readonly PassedOver[];
  /** Milliseconds. */
  readonly duration: number;
}

export interface CompareTreeOptions extends TreeBackup, TreeExtent {
  readonly tree: string;
  /** The restored tree. */
  readonly directory: string;
  /** As it was restored with. */
  readonly paths?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: TreeProgress) => void) | undefined;
}

export interface TreeComparison {
  readonly tree: string;
  readonly equal: boolean;
  /**
   * At most `DIFFERENCES_SHOWN`, `differenceCount` is exact. `object` is the path within the tree; `what` is one of
   * `presence`, `kind`, `contents`, `mode`, `owner`, `time`, `target`, `ACL`, `default ACL`, `attribute <name>`.
   */
  readonly differences: readonly Difference[];
  readonly differenceCount: number;
  readonly compared: {
    readonly entries: number;
    readonly files: number;
    /** Of file contents, apparent size. */
    readonly bytes: number;
  };
  /** Extended attributes, ACLs and set-ID bits that the backup has and that could not be kept here; empty where all came back. */
  readonly lost: readonly LostAttributes[];
  /** What the user of this process may not look at, by the modes it has in the backup: it came back, unseen. */
  readonly notCompared: PathList;
  /** What the backup itself could not keep as it was, by the manifest, and what else is to be known: sentences. */
  readonly notices: readonly string[];
  /** The copy it was held against. */
  readonly backend: string;
  readonly passedOver: readonly PassedOver[];
  /** Milliseconds. */
  readonly duration: number;
}

/** Attributes of a restored tree that did not come back, all for one reason. `paths`: `a/b: user.comment`, the first ones. */
export interface LostAttributes extends PathList {
  /** Follows on "because". */
  readonly reason: string;
}

export interface PlacedTree {
  readonly tree: string;
  /** Where it stands now: for `paths` in place each of them, otherwise one directory. */
  readonly targets: readonly string[];
  /** What was there before is kept here. */
  readonly keptAs: readonly string[];
  /** What somebody made under the same name while it was being put in place; kept here. Usually empty. */
  readonly meanwhile: readonly string[];
  /** Shell commands, one a line, that put back what was there before, once; empty where nothing was. */
  readonly goBack: readonly string[];
  /** Shell commands that remove what is kept, and nothing of file systems that are mounted in it. */
  readonly dropKept: readonly string[];
}

/** What `takeBackTree` took back. */
export interface TakenBackTree {
  readonly tree: string;
  /**
   * The restored ones, with what an application wrote into them meanwhile, are kept here: `<path>_undone_<id>`. Empty where
   * nothing had been put in place of anything.
   */
  readonly setAsideAs: readonly string[];
  /** Shell commands that remove that. */
  readonly drop: readonly string[];
}

/** What a restore left that was killed and not tried again. */
export interface TreeLeftOver {
  readonly directory: string;
  readonly place: TreePlace;
}
