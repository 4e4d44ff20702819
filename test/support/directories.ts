import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What gives a place to clean up: a test's context, or node:test's hooks. */
export interface Scope {
  after(release: () => Promise<unknown>): void;
}

/**
 * An empty directory of the test's own, removed after the test. Its mode is 0700; `reachable` lets other accounts pass
 * through, such as the one that PostgreSQL runs under.
 */
export async function temporaryDirectory(scope: Scope, options: { reachable?: boolean } = {}): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-test-'));
  if (options.reachable) await chmod(directory, 0o711);
  scope.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}
