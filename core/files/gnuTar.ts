import type { FileTreeConfiguration } from '../config/sourceSchema.ts';
import { startProducer } from '../process/childProcess.ts';
import { excludeArguments, excludedOf } from './excludes.ts';
import { unescapePath } from './paths.ts';
import { creationArguments, type TarProgram } from './tarProgram.ts';
import type { RunningArchive, TreeNotes } from './treeNotes.ts';

/**
 * Archives a tree with GNU tar. Kept: hard links, holes, modes, numeric owners, sub-second times, extended attributes,
 * ACLs, FIFOs and devices (as nodes, without data). Skipped: sockets, which mean nothing without their process.
 *
 * File systems mounted inside the tree are part of it: a backup that silently ends at a mount point is no backup of the
 * tree its owner sees. Exclude what does not belong.
 */
export async function archiveWithGnuTar(
  tar: TarProgram,
  configuration: FileTreeConfiguration,
  notes: TreeNotes,
  options: { readonly stallTimeout: number; readonly signal: AbortSignal },
): Promise<RunningArchive> {
  const { output, finished } = await startProducer({
    command: tar.path,
    args: [
      ...creationArguments(tar),
      // Without the process id in the names of extended headers and without access times, the same tree gives the
      // same bytes again.
      '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
      '--sort=name',
      '--numeric-owner',
      // Unreadable files become warnings that are parsed below.
      '--quoting-style=escape',
      ...excludeArguments(excludedOf(configuration)),
      `--directory=${configuration.path}`,
      '.',
    ],
    // Messages in English, and every byte outside ASCII escaped in them.
    environment: { LC_ALL: 'C' },
    acceptedExitCodes: [1],
    stallTimeout: options.stallTimeout,
    signal: options.signal,
    onErrorLine: (line) => noteWarning(line, notes),
  });
  return { output, finished };
}

/**
 * Sorts one line that GNU tar wrote about a member. Under --quoting-style=escape a colon inside a name is `\:`, so the
 * first `: ` ends it. A warning nobody foresaw counts as unreadable: seen too often rather than never.
 */
export function noteWarning(line: string, notes: TreeNotes): void {
  const match = /^\S*tar: ((?:[^\\:]|\\.)+): (.+)$/.exec(line);
  if (!match) return;
  const path = unescapePath(match[1] ?? '');
  const message = match[2] ?? '';
  if (/^(file changed as we read it|File shrank by )/.test(message)) notes.changed.add(path);
  else if (/^File removed before we read it|No such file or directory$/.test(message)) notes.vanished.add(path);
  else if (/^(socket|door) ignored$|^Unknown file type; file ignored$/.test(message)) notes.skipped.add(path);
  else notes.unreadable.add(path);
}
