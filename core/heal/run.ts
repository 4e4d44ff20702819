import { z } from 'zod';
import type { ErrorType } from '../errors.ts';
import type { BackupLocation } from '../repository/layout.ts';

/** What a heal is told, what its steps hand each other, and what it answers. All of it passes through the history. */

/**
 * How closely copies are looked at before any is called whole. `listed`: its manifest is right and every object has its
 * size; `stored`: every byte is read back; `opened`: and every part opens.
 */
export const HEAL_DEPTHS = ['listed', 'stored', 'opened'] as const;

const configuredName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'expected a name from holdfast.yaml');

/** Input of the workflow `heal`. Only the source is needed. */
export const healInput = z.strictObject({
  source: configuredName,
  /** The backup's id, or the beginning of it. Unset: every backup of the source. */
  backup: z.string().min(1).optional(),
  /** Unset: wherever the backups ought to be. A backend that is named ought to hold every backup that is looked at. */
  backends: z.array(configuredName).min(1).optional(),
  /** Unset: `listed`. */
  depth: z.enum(HEAL_DEPTHS).optional(),
  /** Beside a look at depth `listed`: so many copies are read back, those first that nobody has read for longest. */
  sample: z.int().min(0).max(100).optional(),
});

export const HEAL_INPUT_EXAMPLE = '{"source": "shop"}';

export type HealInput = z.infer<typeof healInput>;
export type HealDepth = (typeof HEAL_DEPTHS)[number];

/** `unproven`: nothing is known to be wrong with it; it is to be read back. */
export type WoundCondition = 'missing' | 'damaged' | 'unproven';

/** A copy that is to be healed, or read back. */
export interface Wound {
  readonly location: BackupLocation;
  readonly backend: string;
  readonly condition: WoundCondition;
  /** What was found, naming backend and object. */
  readonly reason: string;
  /** Other backends that may hold what it lacks, the most promising first. */
  readonly candidates: readonly string[];
  /** That nobody is known to have opened it since it was written. */
  readonly unopened?: boolean;
  /** Why nothing can be done about it now: its backend does not answer. */
  readonly away?: string;
}

/** A backup of which no trustworthy copy was found, or about which the backends disagree. */
export interface LostBackup {
  readonly backup: string;
  readonly reason: string;
  /** Where copies of it are gone. */
  readonly backends: readonly string[];
}

export interface SilentBackend {
  readonly backend: string;
  readonly problem: string;
}

/** Where a survey stopped because its answer grew too long; the next one goes on after it. */
export interface SurveyCursor {
  readonly backup: string;
  readonly backend: string;
}

export interface SurveyStep {
  readonly input: HealInput;
  readonly after?: SurveyCursor | undefined;
}

export interface HealSurvey {
  readonly wounds: readonly Wound[];
  /** There when more wounds follow. */
  readonly next?: SurveyCursor;
  /** Backends that could not be asked. */
  readonly silent: readonly SilentBackend[];
  readonly lost: readonly LostBackup[];
  /** How many backups and copies were looked at. */
  readonly backups: number;
  readonly copies: number;
  /** Backups left alone because their run may still be under way. */
  readonly inProgress: readonly string[];
  readonly warnings: readonly string[];
  /** How long a heal waits for backends that are away, in milliseconds. */
  readonly patience: number;
}

export interface HealCopyStep extends Wound {
  readonly depth: HealDepth;
}

/** What was done to one copy, once it is whole. */
export interface CopyHealing {
  /** `whole`: nothing was wrong with it after all. */
  readonly outcome: 'healed' | 'whole';
  /** Backends the objects came from; the copy's own name where only its manifest was missing. */
  readonly from: readonly string[];
  /** Objects written. */
  readonly objects: number;
  /** Bytes written, and how many of them the storage copied by itself. */
  readonly bytes: number;
  readonly serverSideBytes: number;
  /** Depth to which the whole copy was read back afterwards. */
  readonly depth: 'stored' | 'opened';
  /** Bytes of the whole copy. */
  readonly copyBytes: number;
  readonly duration: number;
  readonly at: string;
}

/**
 * `healed` and `whole` are good ends. `waiting`: its backend, or every backend it could be healed from, is away or
 * refuses. `refused`: healing it could not be done without risking what is left; no good copy, above all.
 */
export type CopyOutcome = 'healed' | 'whole' | 'waiting' | 'refused' | 'failed';

export interface HealedCopy {
  readonly backup: string;
  readonly backend: string;
  readonly condition: WoundCondition;
  readonly reason: string;
  readonly outcome: CopyOutcome;
  readonly from?: readonly string[];
  readonly objects?: number;
  readonly bytes?: number;
  readonly serverSideBytes?: number;
  readonly depth?: 'stored' | 'opened';
  readonly duration?: number;
  readonly problem?: { readonly type: ErrorType; readonly message: string };
}

/**
 * `whole`: nothing was wrong. `healed`: everything that was wrong is good again. `incomplete`: something is not good yet,
 * or could not be looked at. `refused`: something is lost, or cannot be healed safely.
 */
export type HealState = 'whole' | 'healed' | 'incomplete' | 'refused';

export interface HealResult {
  readonly source: string;
  readonly state: HealState;
  /** Whether the run goes on trying by itself. */
  readonly waiting: boolean;
  readonly backups: number;
  readonly copiesLookedAt: number;
  /** Copies that something was done to, or should be; at most so many as a history bears. */
  readonly copies: readonly HealedCopy[];
  /** How many more there were. */
  readonly unlisted: number;
  readonly silent: readonly SilentBackend[];
  readonly lost: readonly LostBackup[];
  readonly warnings: readonly string[];
}

/** What the catalog is told while a heal is at work. */
export interface HealNote {
  readonly backup: string;
  readonly backend: string;
  /** `found`: wanting, and being healed; `healed`: whole again; `given-up`: still wanting, nobody is at it any more. */
  readonly event: 'found' | 'healed' | 'given-up';
  readonly condition: WoundCondition;
  readonly reason: string;
  readonly at: string;
  readonly healing?: CopyHealing;
}

/** Answer of the query `progress`. */
export interface HealProgress {
  readonly source: string;
  readonly phase: 'looking' | 'healing' | 'waiting' | 'done';
  readonly copies: readonly {
    readonly backup: string;
    readonly backend: string;
    readonly state: WoundCondition | CopyOutcome | 'healing';
    readonly bytes: number;
    readonly problem?: string;
  }[];
  readonly silent: readonly SilentBackend[];
  /** When it looks again, where it waits. */
  readonly nextLook?: string;
}

/** One heal a source: whoever wants a second one tells the first. Installations are told apart by their task queues. */
export function healWorkflowId(taskQueue: string, source: string): string {
  return `heal-${source}@${taskQueue}`;
}
