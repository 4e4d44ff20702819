import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileTreeConfiguration } from '../../../core/config/sourceSchema.ts';
import type { TreeReport } from '../../../core/backup/part.ts';
import { findTar, type TarProgram } from '../../../core/files/tarProgram.ts';
import { treePart } from '../../../core/files/treePart.ts';
import { temporaryDirectory, type Scope } from '../../support/directories.ts';

export function treeConfiguration(path: string, other: Partial<FileTreeConfiguration> = {}): FileTreeConfiguration {
  return { path, exclude: [], minimumFiles: 1, minimumBytes: 0, onUnreadable: 'record', onChanged: 'record', ...other };
}

export async function requiredTar(): Promise<TarProgram> {
  const tar = await findTar();
  if (!tar) throw new Error('these tests need GNU tar on PATH');
  return tar;
}

/** Past the headers, which may come before the file behind them is opened. */
const INTO_THE_FIRST_FILE = 100_000;

export interface ArchiveRun {
  readonly tar: TarProgram | undefined;
  readonly stallTimeout?: number;
  /** Called once the first large file is being read; nothing more is read until it resolves. */
  readonly meanwhile?: () => Promise<void>;
  readonly signal?: AbortSignal;
}

export interface ArchivedTree {
  readonly archive: Buffer;
  readonly report: TreeReport;
}

/** Archives a tree as the backup does: reads the stream to its end, then asks whether it was good. */
export async function archiveTree(configuration: FileTreeConfiguration, run: ArchiveRun): Promise<ArchivedTree> {
  const source = treePart({ tree: 'media', configuration, stallTimeout: run.stallTimeout ?? 20_000, tar: run.tar });
  const { plaintext, finished } = source.open(run.signal ?? new AbortController().signal);
  const chunks: Buffer[] = [];
  const reading = (async () => {
    let bytes = 0;
    let called = false;
    for await (const chunk of plaintext) {
      chunks.push(Buffer.from(chunk));
      bytes += chunk.length;
      if (called || bytes < INTO_THE_FIRST_FILE) continue;
      called = true;
      await run.meanwhile?.();
    }
  })();
  const [facts] = await Promise.all([finished, reading.catch(() => undefined)]);
  await reading;
  if (!facts.tree) throw new Error('a file tree reports what it holds');
  return { archive: Buffer.concat(chunks), report: facts.tree };
}

/** A tar that does something else first or instead: `body` is shell in which "$@" are tar's arguments. */
export async function wrappedTar(scope: Scope, body: string): Promise<TarProgram> {
  const tar = await requiredTar();
  const directory = await temporaryDirectory(scope);
  await chmod(directory, 0o755);
  const path = join(directory, 'tar');
  await writeFile(path, `#!/bin/sh\n${body.replaceAll('TAR', tar.path)}\n`, { mode: 0o755 });
  return { ...tar, path };
}

/** Runs shell commands in a directory, for what Node cannot make: FIFOs, sockets, holes, names of any bytes. */
export function shell(directory: string, script: string): string {
  return execFileSync('sh', ['-euc', script], { cwd: directory, encoding: 'utf8' });
}

export function python(directory: string, script: string): string {
  return execFileSync('python3', ['-c', script], { cwd: directory, encoding: 'utf8' });
}

/** Kind, mode, owner, size, link target, contents, and which names share a file: what must survive. One line a name. */
export function fingerprint(directory: string): string {
  return python(
    directory,
    `
import os, stat, hashlib
inodes = {}
def show(path):
    s = os.lstat(path)
    line = [repr(path), oct(s.st_mode), s.st_uid, s.st_gid, int(s.st_mtime)]
    if stat.S_ISLNK(s.st_mode): line.append(repr(os.readlink(path)))
    if stat.S_ISREG(s.st_mode):
        line += [s.st_size, hashlib.sha256(open(path, 'rb').read()).hexdigest()[:16]]
        line.append(repr(inodes.setdefault(s.st_ino, path)))
    print(*line)
for base, directories, files in os.walk(b'.'):
    directories.sort()
    show(base)
    for name in sorted(files + [d for d in directories if os.path.islink(os.path.join(base, d))]):
        show(os.path.join(base, name))
`,
  );
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
