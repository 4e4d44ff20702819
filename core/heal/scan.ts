import { z } from 'zod';

/** The daily look at every source: what it is told and what it answers. */

/** Input of the workflow `scan`. Nothing is needed. */
export const scanInput = z.strictObject({
  /** Unset: every source of the configuration. */
  sources: z.array(z.string().min(1)).min(1).optional(),
  /** Copies of each source to read back. Unset: `maintenance.sample`. */
  sample: z.int().min(0).max(100).optional(),
});

export const SCAN_INPUT_EXAMPLE = '{"sources": ["shop"], "sample": 1}';

export interface ScanAssignment {
  readonly sources: readonly string[];
  readonly sample: number;
}

export interface ScanResult {
  /** Workflow ids of the heals that were started or told, by source. */
  readonly heals: Readonly<Record<string, string>>;
}
