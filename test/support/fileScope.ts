import { after as afterFile, type TestContext } from 'node:test';
import type { Scope } from './directories.ts';

/**
 * A scope for what all tests of a file share. Unlike a test's own it lets go in reverse order, so that a worker ends
 * before its database is dropped.
 */
export function fileScope(): Scope {
  return reversed((release) => afterFile(release));
}

/** The same for what one test has to itself. */
export function testScope(t: TestContext): Scope {
  return reversed((release) => t.after(release));
}

function reversed(after: (release: () => Promise<unknown>) => void): Scope {
  const releases: (() => Promise<unknown>)[] = [];
  after(async () => {
    for (const release of releases.toReversed()) await release();
  });
  return { after: (release) => void releases.push(release) };
}
