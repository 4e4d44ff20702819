import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What gives a place to clean up: a test's context, or node:test's hooks. */
export interface Scope {
  after(release: () => Promise<void>): void;
}

/** An empty directory of the test's own, mode 0700, removed after the test. */
export async function temporaryDirectory(scope: Scope): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-test-'));
  scope.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}
