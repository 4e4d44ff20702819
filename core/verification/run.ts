import { z } from 'zod';
import type { VerificationDepth, VerificationOutcome } from '../catalog/record.ts';
import type { BackupLocation } from '../repository/layout.ts';

/** What a verification is told, what its steps hand each other, and what it answers. */

export const VERIFY_DEPTHS = ['stored', 'opened', 'restored'] as const;

/** Input of the workflow `verify`. Only the backup is needed. */
export const verifyInput = z.strictObject({
  /** The backup's id, or the beginning of it. */
  backup: z.string().min(1),
  depth: z.enum(VERIFY_DEPTHS).optional(),
  /** Unset: every backend that holds a copy, or should. */
  backends: z.array(z.string().min(1)).min(1).optional(),
  /** False: a copy that is missing or damaged is reported, and left as it is. */
  heal: z.boolean().optional(),
});

export const VERIFY_INPUT_EXAMPLE = '{"backup": "20261120T020000Z-7f3k9q", "depth": "opened"}';

export type VerifyInput = z.infer<typeof verifyInput>;
export type VerifyDepth = Extract<VerificationDepth, (typeof VERIFY_DEPTHS)[number]>;

/** Where the copies are that are to be verified. */
export interface VerifyAssignment {
  readonly location: BackupLocation;
  readonly depth: VerifyDepth;
  readonly backends: readonly string[];
  readonly warnings: readonly string[];
}

export interface VerifyCopyStep {
  readonly location: BackupLocation;
  /** What is to be restored is for a drill. */
  readonly depth: Exclude<VerifyDepth, 'restored'>;
  readonly backend: string;
}

/** What one look at one copy found. */
export interface CopyVerdict {
  readonly backend: string;
  readonly depth: VerifyDepth;
  /** `failed`: the look could not be finished; it says nothing about the copy's bytes. */
  readonly outcome: VerificationOutcome;
  /** Each names its object and its backend. */
  readonly problems: readonly string[];
  readonly bytes: number;
  /** Milliseconds. */
  readonly duration: number;
  readonly at: string;
}

export interface VerifyResult {
  readonly backup: string;
  readonly source: string;
  readonly depth: VerifyDepth;
  /** Whether every copy that was looked at passed. */
  readonly passed: boolean;
  readonly copies: readonly CopyVerdict[];
  readonly warnings: readonly string[];
  /** Workflow id of the heal that was told of what is wrong. */
  readonly heal?: string;
}

/** Answer of the query `progress`. */
export interface VerifyProgress {
  readonly backup: string;
  readonly copies: readonly { readonly backend: string; readonly state: string; readonly bytes: number }[];
}
