import { z } from 'zod';
import { duration } from '../config/units.ts';

/** What a sweep is told, what its steps hand each other, and what it answers. */

/** Input of the workflow `sweep`. Nothing is needed. */
export const sweepInput = z
  .strictObject({
    /** Unset: all that are configured. */
    backends: z.array(z.string().min(1)).min(1).optional(),
    /** Least age of what is removed, e.g. `0s`. Unset: `maintenance.sweepAfter`. */
    olderThan: duration.optional(),
    /** Say what would be removed, and remove nothing. */
    dryRun: z.boolean().optional(),
  })
  .prefault({});

export const SWEEP_INPUT_EXAMPLE = '{"backends": ["r2"], "olderThan": "24h", "dryRun": true}';

export type SweepInput = z.infer<typeof sweepInput>;

/** How a sweep goes about it. */
export interface SweepRules {
  /** Milliseconds. */
  readonly minimumAge: number;
  readonly dryRun: boolean;
  /** The most entries that each list of a report may have; the worker's log has all. */
  readonly listed: number;
}

export interface SweepAssignment extends SweepRules {
  readonly backends: readonly string[];
  /** Task queue of the host whose spool is swept. */
  readonly spoolQueue: string;
}

export interface SweepBackendStep extends SweepRules {
  readonly backend: string;
}

/** What a run left in one folder of a backend, or in the spool. */
export interface Remnant {
  /** `<source>/<tier>/<backup-id>/` on a backend, the backup's id in the spool. */
  readonly folder: string;
  /** Files, in the spool. */
  readonly objects: number;
  /** Uploads begun and never completed. */
  readonly uploads: number;
  /** Of the objects. */
  readonly bytes: number;
}

export interface KeptRemnant extends Remnant {
  readonly why: string;
}

/** What runs of one kind have on servers and on one host's disk now: databases and directories of their own. */
export interface ScratchRemnants {
  readonly remnants: readonly {
    readonly source: string;
    readonly databases: readonly string[];
    readonly directories: readonly string[];
  }[];
  /** What is like them and nobody's to remove but a person's. */
  readonly kept?: readonly Pick<KeptRemnant, 'folder' | 'why'>[];
  /** What could not be looked at. */
  readonly problems: readonly string[];
}

/** What became of one backend or spool. */
export interface SweepReport {
  /** `backend r2`, `spool on host-1`. */
  readonly place: string;
  /** Removed; in a dry run: what would be. */
  readonly swept: readonly Remnant[];
  readonly kept: readonly KeptRemnant[];
  /** Objects, uploads or files that are not Holdfast's. They are counted and never touched. */
  readonly foreign: number;
  /** What could not be removed or looked at. */
  readonly problems: readonly string[];
  /** Entries that the lists above leave out because they would grow too long; the worker's log has all. */
  readonly unlisted: number;
}

export interface SweepResult extends SweepRules {
  /** `degraded`: something could not be looked at or removed; the problems say what. */
  readonly state: 'done' | 'degraded';
  readonly reports: readonly SweepReport[];
}

/** Answer of the query `progress`. */
export interface SweepProgress {
  readonly places: readonly { readonly place: string; readonly state: 'sweeping' | 'done' | 'failed' }[];
}
