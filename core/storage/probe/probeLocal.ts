import { link, lstat, mkdir, open, readFile, rename, rm, rmdir, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LocalBackendConfiguration } from '../../config/schema.ts';
import { codeOf, messageOf } from '../../errors.ts';
import { formatBytes, formatDuration } from '../../format.ts';
import { attempt, requireRoot, type LocalPlace } from '../localFiles.ts';
import { newProbePrefix, PROBE_PREFIX } from './probeKeys.ts';
import { compared, stateOf, type ProbeFinding, type ProbeReport } from './report.ts';

/**
 * Finds out what a directory's filesystem can do by trying, in a folder of its own that is removed again whatever
 * happens. Throws BackendRefused or BackendUnreachable when nothing can be written at all.
 */
export async function probeLocal(
  name: string,
  { path }: LocalBackendConfiguration,
  signal: AbortSignal,
): Promise<ProbeReport> {
  const place: LocalPlace = { backend: name, root: path };
  const folder = join(path, newProbePrefix());
  const { findings, leftBehind } = await attempt(place, 'probe it', signal, async () => {
    await requireRoot(place);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const found = await tryAll(path, folder, signal);
      return { findings: found, leftBehind: await clear(path, folder) };
    } catch (error) {
      await clear(path, folder);
      throw error;
    }
  });
  return {
    backend: name,
    place: path,
    at: new Date().toISOString(),
    state: stateOf(findings, leftBehind),
    findings,
    learned: {},
    leftBehind,
  };
}

async function tryAll(root: string, folder: string, signal: AbortSignal): Promise<ProbeFinding[]> {
  const [first, second] = [join(folder, 'first'), join(folder, 'second')];
  await writeFile(first, 'the first', { mode: 0o600, flag: 'wx' });
  const { mode: fileMode, mtimeMs } = await lstat(first);
  const { mode: folderMode } = await lstat(folder);
  const skew = Math.abs(Date.now() - mtimeMs);
  const modes = `${(fileMode & 0o777).toString(8)} and ${(folderMode & 0o777).toString(8)}`;
  signal.throwIfAborted();
  const linked = await answer(() => link(first, join(folder, 'linked')), ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);
  const taken = linked === 'yes' ? await answer(() => link(first, join(folder, 'linked')), ['EEXIST']) : 'no';
  await writeFile(second, 'the second', { mode: 0o600 });
  await rename(second, first);
  const replaced = (await readFile(first, 'utf8')) === 'the second';
  const synced = await answer(() => syncOf(first), ['EINVAL', 'ENOTSUP']);
  const folderSynced = await answer(() => syncOf(folder), ['EINVAL', 'ENOTSUP']);
  const { blocks, bavail, bsize } = await statfs(root);
  return [
    compared('modes', modes, '600 and 700', 'others on this host cannot read the copies'),
    compared(
      'hard links',
      linked === 'yes' && taken === 'no' ? 'yes' : 'no',
      'yes',
      linked === 'yes'
        ? 'a manifest is never overwritten, whoever else writes'
        : 'a manifest is looked up just before; two writers could race',
    ),
    compared('rename over a file', replaced ? 'yes' : 'no', 'yes', 'a copy is whole or not there'),
    compared('fsync of files', synced, 'yes', 'what was written outlives a power cut'),
    compared('fsync of folders', folderSynced, 'yes', 'names outlive a power cut'),
    compared(
      'clock',
      skew < 60_000 ? 'the same' : `${formatDuration(skew)} off`,
      'the same',
      'ages are reckoned by it',
    ),
    compared(
      'room',
      `${formatBytes(bavail * bsize)} of ${formatBytes(blocks * bsize)} free`,
      undefined,
      'doctor warns before it runs out',
    ),
  ];
}

/** `yes` where it works, `no` where the filesystem answers with one of the codes; anything else is thrown. */
async function answer(work: () => Promise<unknown>, codesOfNo: readonly string[]): Promise<'yes' | 'no'> {
  try {
    await work();
    return 'yes';
  } catch (error) {
    if (codesOfNo.includes(codeOf(error) ?? '')) return 'no';
    throw error;
  }
}

async function syncOf(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function clear(root: string, folder: string): Promise<string[]> {
  try {
    await rm(folder, { recursive: true, force: true });
  } catch (error) {
    return [`${folder}: ${messageOf(error)}`];
  }
  // Another probe may be in it.
  await rmdir(join(root, PROBE_PREFIX)).catch((error: unknown) => {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(codeOf(error) ?? '')) throw error;
  });
  return [];
}
