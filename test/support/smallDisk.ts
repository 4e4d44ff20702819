import { execFileSync } from 'node:child_process';
import { open, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../core/errors.ts';
import type { Scope } from './directories.ts';

/** Why a test that mounts a filesystem cannot run here; false where it can. */
export const noMounts = process.getuid?.() === 0 ? false : 'only root can mount a small filesystem';

/** What is mounted on a directory has to go before the directory. */
export function lastFirst(context: Scope): Scope {
  const releases: (() => Promise<unknown>)[] = [];
  context.after(async () => {
    for (const release of releases.toReversed()) await release();
  });
  return { after: (release) => void releases.push(release) };
}

/** Mounts a filesystem of its own on a directory for as long as the scope lasts. */
export function mountSmallDisk(scope: Scope, directory: string, megabytes: number): { makeReadOnly(): void } {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0700`, 'tmpfs', directory]);
  // Lazily: a worker that is still ending may hold a file open.
  scope.after(async () => void execFileSync('umount', ['-l', directory]));
  return { makeReadOnly: () => void execFileSync('mount', ['-o', 'remount,ro', directory]) };
}

/** Fills a filesystem to its last byte. Gives the file that did it. */
export async function fillDisk(directory: string): Promise<string> {
  const path = join(directory, '.filler');
  const file = await open(path, 'w', 0o600);
  try {
    for (;;) {
      const { bavail, bsize } = await statfs(directory);
      if (bavail === 0) return path;
      await file.write(Buffer.alloc(Math.min(2 ** 20, bavail * bsize)));
    }
  } catch (error) {
    if (codeOf(error) !== 'ENOSPC') throw error;
    return path;
  } finally {
    await file.close();
  }
}
