import type { Scope } from '../support/directories.ts';

export type { Scope };

/** A scope for as long as `use` takes; lets go in reverse order. */
export async function withScope<Result>(use: (scope: Scope) => Promise<Result>): Promise<Result> {
  const releases: (() => Promise<unknown>)[] = [];
  try {
    return await use({ after: (release) => void releases.push(release) });
  } finally {
    for (const release of releases.toReversed()) await release();
  }
}
