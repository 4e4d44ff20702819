import type { TarEntry } from './tarReader.ts';

const SET_USER_ID = 0o4000;
const SET_GROUP_ID = 0o2000;

/** Whether whoever runs this file runs it as somebody else. */
export function hasSetIds({ kind, mode }: Pick<TarEntry, 'kind' | 'mode'>): boolean {
  return kind === 'file' && (mode & (SET_USER_ID | SET_GROUP_ID)) !== 0;
}

/**
 * The mode of a restored entry. A program that ran as its owner must not run as another user or group only because it
 * belongs to those now: the bits go, as the -p of POSIX's cp and pax has it.
 */
export function restoredMode(
  entry: Pick<TarEntry, 'kind' | 'mode' | 'uid' | 'gid'>,
  owner: { readonly uid: number | bigint; readonly gid: number | bigint },
): number {
  if (!hasSetIds(entry)) return entry.mode;
  const user = Number(owner.uid) === entry.uid ? 0 : SET_USER_ID;
  const group = Number(owner.gid) === entry.gid ? 0 : SET_GROUP_ID;
  return entry.mode & ~(user | group);
}
