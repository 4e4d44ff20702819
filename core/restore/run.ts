import type { DatabaseAccess } from '../postgres/access.ts';
import type { ClientPrograms } from '../postgres/clients.ts';
import type { Finding } from '../postgres/finding.ts';
import type { Inventory } from '../postgres/inventorySchema.ts';
import type { Manifest } from '../repository/manifest.ts';
import type { Tier } from '../config/words.ts';
import type { AskLiveRuns } from '../sweep/liveRuns.ts';
import type { CheckingKey, OpeningKey } from '../seal/keys.ts';
import type { Backend } from '../storage/backend.ts';

/** What the steps of a restore are asked and what they answer. Answers are plain data: they may pass through histories. */

/** A storage that may hold a copy. Opened when its turn comes: a secret that is missing there stops only that copy. */
export interface RestoreCopy {
  readonly backend: string;
  /** Throws what opening a backend throws. */
  readonly open: () => Promise<Backend>;
}

/** A copy that could not be used, or a storage that could not be asked, and why. */
export interface PassedOver {
  readonly backend: string;
  readonly reason: string;
}

/** Which backup: see `chooseBackup`. */
export interface BackupWish {
  /** Unset: of whatever source the id is; needed for `latest`. */
  readonly source?: string | undefined;
  /** `latest`, an id, or the beginning of one. Unset: `latest`. */
  readonly backup?: string | undefined;
  /** ISO 8601 time; only with `latest`: what was sealed at or before it. */
  readonly before?: string | undefined;
  /** Parts that the backup must hold, all of them: `database`, names of file trees. */
  readonly parts?: readonly string[] | undefined;
  /** It must hold a file tree, whichever. */
  readonly anyTree?: boolean | undefined;
}

export interface ChosenBackup {
  readonly manifest: Manifest;
  /** SHA-256 of the manifest object, lower-case hex: the backup that was shown is the one that is restored. */
  readonly manifestSha256: string;
  /** Storages that hold it, in the order in which they are to be tried. */
  readonly copies: readonly RestoreCopy[];
  /** Storages that could not be asked, and manifests that cannot be trusted. What of it `newer` tells is not here. */
  readonly passedOver: readonly PassedOver[];
  /** Of `latest`: each thing that speaks for a backup that was begun after this one, in words. Empty: there is none. */
  readonly newer: readonly string[];
  /** Of `latest`: why the index of backups could not be asked for newer ones. */
  readonly indexSilent?: string;
}

/** What an index of backups knows of one run of a backup. */
export interface IndexedBackup {
  readonly id: string;
  readonly tier: Tier;
  readonly state: string;
  /** Unset: it never came to be sealed. */
  readonly manifest?: Manifest | undefined;
  /** Storages on which a copy was published, whatever became of it. */
  readonly published: readonly string[];
}

/** What is known outside the storages. Both are asked only where the newest backup is wanted. */
export interface BackupIndex {
  /** Runs of backups of a source that were begun after an ISO 8601 time. Throws CatalogUnavailable. */
  readonly begunSince: (source: string, time: string) => Promise<readonly IndexedBackup[]>;
  /** Runs that are making backups now. Throws TemporalUnreachable. */
  readonly liveRuns: AskLiveRuns;
}

export interface ChooseBackupOptions {
  readonly wish: BackupWish;
  /** In the order of preference. */
  readonly copies: readonly RestoreCopy[];
  /** Undefined: signatures are not checked, for the day on which no key is at hand that could. */
  readonly checkingKeys: readonly CheckingKey[] | undefined;
  /** Unset, there is only what the storages say. */
  readonly index?: BackupIndex | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The small parts of a backup that tell what its database was. */
export interface DatabaseDescription {
  readonly inventory: Inventory;
  /** SQL of the part `globals`. */
  readonly globals: string;
  readonly passedOver: readonly PassedOver[];
}

/** What is left out on purpose. */
export interface RestoreScope {
  /** Everything belongs to the role that restores. */
  readonly noOwner?: boolean | undefined;
  /** No privilege is granted or revoked. */
  readonly noPrivileges?: boolean | undefined;
  /** Only these tables, `schema.table` or, where only one schema has it, `table`, and what they need. */
  readonly tables?: readonly string[] | undefined;
}

export interface RestoreDatabaseOptions extends RestoreScope {
  /** In the order in which they are to be tried. */
  readonly copies: readonly RestoreCopy[];
  readonly manifest: Manifest;
  readonly openingKeys: readonly OpeningKey[];
  /** A maintenance connection whose role may create databases. `name` is the database it connects to, not the target. */
  readonly server: DatabaseAccess;
  /** Name of the database to make. It must not exist, unless it is what an earlier try of the same `mark` left. */
  readonly target: string;
  /** Says in the target's comment, until it is whole, whose it is: e.g. a workflow's id. Letters, digits and `-_.:/`. */
  readonly mark: string;
  /** Names of databases that are never made or dropped, whatever marks them: those of the configuration. */
  readonly spared?: readonly string[] | undefined;
  /** The mark stays when the database is whole, until `releaseTarget` or `swapDatabases` lets it go. */
  readonly keepMark?: boolean | undefined;
  /** Programs side by side, from 1: for rows, indexes and statistics. */
  readonly jobs: number;
  /** As `chooseRestorePrograms` chose them. */
  readonly clients: ClientPrograms;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: RestoreDatabaseProgress) => void) | undefined;
}

export const RESTORE_PHASES = ['definitions', 'rows', 'indexes', 'statistics', 'settings'] as const;
export type RestorePhase = (typeof RESTORE_PHASES)[number];

export interface RestoreDatabaseProgress {
  readonly phase: RestorePhase;
  /** The copy that is being read. */
  readonly backend: string;
  /** Uncompressed bytes read of all parts with rows, and how many there are. */
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface RestoredDatabase {
  /** The copy it came from. */
  readonly backend: string;
  /** Milliseconds each phase took, of the try that succeeded; `total` is everything. */
  readonly durations: Readonly<Record<RestorePhase | 'total', number>>;
  readonly passedOver: readonly PassedOver[];
  readonly warnings: readonly string[];
}

export interface PreflightTargetOptions extends RestoreScope {
  readonly manifest: Manifest;
  readonly description: Pick<DatabaseDescription, 'inventory' | 'globals'>;
  readonly server: DatabaseAccess;
  readonly target: string;
  /** The target's name was made of the source's own, which may be any: it is not held against the rules for typed ones. */
  readonly namedAfterSource?: boolean | undefined;
  /** As in RestoreDatabaseOptions: what an earlier try of the same mark left is no obstacle. Unset: everything is. */
  readonly mark?: string | undefined;
  /** Missing roles will be made first: they are no obstacle. */
  readonly createRoles?: boolean | undefined;
  /** The database that the target will take the place of: it must hold neither Holdfast's catalog nor Temporal's store. */
  readonly replaces?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface TargetInspection {
  /** Failures first. Empty of failures: the restore may begin. */
  readonly findings: readonly Finding[];
  readonly serverVersion: string;
  /**
   * SQL for psql or any client, statement by statement, that creates the missing roles as they were at the source, without
   * passwords and settings: `createRolesSql` gives these too, to whoever runs them.
   */
  readonly createRoles: readonly string[];
  readonly requiredBytes: number;
  /** Where the server runs on this machine and its data directory can be seen. */
  readonly freeBytes?: number;
}

export interface ReconcileOptions extends RestoreScope {
  /** The restored database itself. */
  readonly database: DatabaseAccess;
  /** The backup's inventory part. */
  readonly expected: Inventory;
  readonly signal?: AbortSignal | undefined;
}

/** One thing that is not as it was dumped. */
export interface Difference {
  /**
   * `difference`: what was dumped is not there. `remark`: worth knowing, but it was so at the source, or belongs to the
   * server and not the database, or cannot be told apart across versions of PostgreSQL.
   */
  readonly severity: 'difference' | 'remark';
  /** E.g. `table`, `sequence`, `index`, `role`, `extension`, `database`. */
  readonly kind: string;
  /** Qualified and quoted where it needs to be. */
  readonly object: string;
  /** E.g. `rows`, `owner`, `privileges`, `definition`, `presence`. */
  readonly what: string;
  readonly expected: string;
  readonly found: string;
}

export interface Reconciliation {
  /** No `difference` among `differences`. */
  readonly equal: boolean;
  /** Differences first; at most `DIFFERENCES_SHOWN`. `differenceCount` is exact, and without remarks. */
  readonly differences: readonly Difference[];
  readonly differenceCount: number;
  /** What was compared. `rows` is decimal text, and unset where the backup has no numbers of rows. */
  readonly compared: {
    readonly tables: number;
    readonly rows?: string;
    readonly sequences: number;
    readonly objects: number;
    readonly largeObjects: string;
  };
  /** What no dump carries, by name: sentences for the report. */
  readonly notCarried: readonly string[];
  /** What to know before an application is let in: sentences. */
  readonly notices: readonly string[];
  /** Milliseconds. */
  readonly duration: number;
}

/** What fits into a report and a history. */
export const DIFFERENCES_SHOWN = 200;
