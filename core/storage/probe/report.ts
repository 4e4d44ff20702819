import { z } from 'zod';

/** What a probe found, in the form in which the catalog keeps it. */

const finding = z.object({
  /** What was tried, e.g. `conditional put`. */
  what: z.string(),
  found: z.string(),
  /** What the backend's profile and configuration say. Unset: they say nothing, and no answer is wrong. */
  expected: z.string().optional(),
  /** `untried`: something came between. */
  state: z.enum(['equal', 'differs', 'untried']),
  /** What follows from it. */
  meaning: z.string(),
});

/** What a profile can learn of a probe. */
const learned = z.object({
  conditionalPut: z.enum(['yes', 'no']).optional(),
  checksum: z.enum(['sha256', 'md5', 'none']).optional(),
});

export const probeReport = z.object({
  backend: z.string(),
  /** Which storage it was: what is found of one says nothing about another of the same name. */
  place: z.string(),
  /** ISO 8601 in UTC. */
  at: z.string(),
  state: z.enum(['equal', 'differs', 'untried']),
  findings: z.array(finding),
  learned,
  /** Keys, uploads and versions that the probe made and could not remove. */
  leftBehind: z.array(z.string()),
});

export type ProbeFinding = z.infer<typeof finding>;
export type ProbeReport = z.infer<typeof probeReport>;
/** What was found out about a storage that its profile leaves open, or has wrong. */
export type LearnedProfile = z.infer<typeof learned>;

/** Compares a finding with what is expected. */
export function compared(what: string, found: string, expected: string | undefined, meaning: string): ProbeFinding {
  const state = expected === undefined || expected === found ? 'equal' : 'differs';
  return { what, found, ...(expected !== undefined && { expected }), state, meaning };
}

/** Differing weighs more than equal, and not having been tried most. */
export function stateOf(findings: readonly ProbeFinding[], leftBehind: readonly string[]): ProbeReport['state'] {
  const states = findings.map(({ state }) => state);
  if (states.includes('untried')) return 'untried';
  return states.includes('differs') || leftBehind.length > 0 ? 'differs' : 'equal';
}
