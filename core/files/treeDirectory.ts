import { constants } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { codeOf, HoldfastError, messageOf } from '../errors.ts';

/**
 * Throws `FilesUnreadable` unless `path` is a directory, or a symbolic link to one, that this process can read.
 */
export async function assertDirectory(tree: string, path: string): Promise<void> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new HoldfastError('FilesUnreadable', `${tree}: ${path} ${reasonOf(cause)}`, {
      advice: 'Correct the path of the tree in holdfast.yaml, or mount what belongs there.',
      cause,
    });
  });
  if (!found.isDirectory())
    throw new HoldfastError('FilesUnreadable', `${tree}: ${path} is not a directory`, {
      advice: 'A file tree is a directory; give the directory that holds the file.',
    });
  await access(path, constants.R_OK | constants.X_OK).catch((cause: unknown) => {
    throw new HoldfastError('FilesUnreadable', `${tree}: ${path} cannot be read by this process`, {
      advice: "Give the worker's user read and search permission on it.",
      cause,
    });
  });
}

function reasonOf(cause: unknown): string {
  const code = codeOf(cause);
  if (code === 'ENOENT') return 'does not exist';
  if (code === 'EACCES') return 'cannot be reached by this process';
  if (code === 'ELOOP') return 'is a loop of symbolic links';
  return `cannot be read: ${messageOf(cause)}`;
}

/**
 * Mount points that /etc/fstab names at, above or below `path`, and that are not mounted now: what should be there is
 * not. Entries with the option `noauto` are mounted by hand and not expected. Empty where the system has no fstab.
 */
export async function missingMounts(
  path: string,
  tables: { readonly expected: string; readonly present: string } = {
    expected: '/etc/fstab',
    present: '/proc/self/mounts',
  },
): Promise<string[]> {
  const [expected, present] = await Promise.all([mountTable(tables.expected), mountTable(tables.present)]);
  if (present.length === 0) return [];
  const mounted = new Set(present.map((each) => each.point));
  return expected
    .filter(({ point, options }) => point.startsWith('/') && !options.includes('noauto') && !mounted.has(point))
    .map(({ point }) => point)
    .filter((point) => point === path || isBelow(point, path) || isBelow(path, point));
}

/** Mount points at or below a directory. Empty where the system does not tell. */
export async function mountPoints(directory: string, table = '/proc/self/mounts'): Promise<string[]> {
  const points = (await mountTable(table)).map(({ point }) => point);
  return [...new Set(points)].filter((point) => point === directory || isBelow(point, directory));
}

function isBelow(path: string, directory: string): boolean {
  return path.startsWith(directory === '/' ? '/' : `${directory}/`);
}

async function mountTable(file: string): Promise<{ point: string; options: string[] }[]> {
  // A system without the file says nothing about its mounts.
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line))
    .map((line) => line.trim().split(/\s+/))
    .map(([, point = '', , options = '']) => ({
      // Both tables write blanks as three octal digits (fstab(5), proc(5)).
      point: point.replaceAll(/\\([0-7]{3})/g, (_all, digits: string) =>
        String.fromCharCode(Number.parseInt(digits, 8)),
      ),
      options: options.split(','),
    }));
}
