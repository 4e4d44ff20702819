import { after } from 'node:test';
import type { Scope } from './directories.ts';

/**
 * A scope for what all tests of a file share. Unlike a test's own it lets go in reverse order, so that a worker ends
 * before its database is dropped.
 */
export function fileScope(): Scope {
  const releases: (() => Promise<void>)[] = [];
  after(async () => {
    for (const release of releases.toReversed()) await release();
  });
  return { after: (release) => void releases.push(release) };
}
