import { mkdtemp, readdir, readlink, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { codeOf } from '../errors.ts';
import { startOf } from './runningProcess.ts';

/** `holdfast-<pid namespace>-<pid>-<start of the process>-<random>`: names its owner for good. */
const OWNED = /^holdfast-(\d+)-(\d+)-(\d+)-\w{6}$/;

/**
 * A fresh directory of mode 0700, e.g. for secrets that programs read from files. Whoever makes it removes it; after a
 * kill -9 nobody does, so that those of processes that are gone are removed here first.
 */
export async function createTemporaryDirectory(): Promise<string> {
  await removeOrphanedDirectories();
  const start = await startOf(process.pid);
  return mkdtemp(path.join(tmpdir(), `holdfast-${await namespaceOf()}-${process.pid}-${start}-`));
}

/** Removes what killed processes of this user on this machine left. */
export async function removeOrphanedDirectories(): Promise<void> {
  const namespace = await namespaceOf();
  for (const name of await readdir(tmpdir())) {
    const [, where, pid, start] = OWNED.exec(name) ?? [];
    // Pids of another container mean nothing here.
    if (where !== namespace || (await startOf(Number(pid))) === start) continue;
    const directory = path.join(tmpdir(), name);
    if (await isMine(directory)) await rm(directory, { recursive: true, force: true });
  }
}

/** Number of the pid namespace; pids are unique within it only. */
async function namespaceOf(): Promise<string> {
  const link = await readlink('/proc/self/ns/pid').catch(() => '');
  return /\d+/.exec(link)?.[0] ?? '0';
}

async function isMine(directory: string): Promise<boolean> {
  try {
    return (await stat(directory)).uid === process.getuid?.();
  } catch (error) {
    // Another worker that starts now has taken it away.
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}
