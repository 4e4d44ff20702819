import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { readProcess } from '../process/childProcess.ts';

/** A GNU tar that can be relied on. */
export interface TarProgram {
  readonly path: string;
  readonly version: string;
  /** Built with support for extended attributes. */
  readonly xattrs: boolean;
  /** Built with support for POSIX access control lists. */
  readonly acls: boolean;
}

const NAMES = ['tar', 'gtar', 'gnutar'];
/** 1.28 brought `--sort`; the sparse, xattr and warning options used here are older (GNU tar, NEWS). */
const MINIMUM_VERSION = [1, 28] as const;

/** The first GNU tar >= 1.28 on PATH, by any of its usual names, or undefined. To be called once per process. */
export async function findTar(searchPath: string = process.env.PATH ?? ''): Promise<TarProgram | undefined> {
  for (const directory of searchPath.split(delimiter).filter((each) => each !== '')) {
    for (const name of NAMES) {
      const path = join(directory, name);
      if (!(await isExecutable(path))) continue;
      const version = await gnuTarVersion(path);
      if (version) return { path, version, ...(await probeFeatures(path)) };
    }
  }
  return undefined;
}

/** Has it write an archive that keeps everything that it can, to its output. */
export function creationArguments({ xattrs, acls }: TarProgram): string[] {
  return [
    '--create',
    '--file=-',
    '--format=posix',
    '--sparse',
    ...(xattrs ? ['--xattrs'] : []),
    ...(acls ? ['--acls'] : []),
    // Exit code 2 is left to failures of tar itself (GNU tar manual, "Return Value", and "Ignore Failed Read").
    '--ignore-failed-read',
  ];
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function gnuTarVersion(path: string): Promise<string | undefined> {
  // Another tar (BSD's, BusyBox's) may not know the option and fail: then it is not the one looked for.
  const text = await readProcess({ command: path, args: ['--version'] }).catch(() => '');
  const match = /^tar \(GNU tar\) ((\d+)\.(\d+)\S*)/.exec(text);
  if (!match) return undefined;
  const [major, minor] = [Number(match[2]), Number(match[3])];
  const [needMajor, needMinor] = MINIMUM_VERSION;
  return major > needMajor || (major === needMajor && minor >= needMinor) ? match[1] : undefined;
}

/** A tar built without xattrs or ACLs takes the options and warns that the support is not available. */
async function probeFeatures(path: string): Promise<{ xattrs: boolean; acls: boolean }> {
  const warnings: string[] = [];
  await readProcess({
    command: path,
    args: ['--create', '--file=/dev/null', '--xattrs', '--acls', '--files-from=/dev/null'],
    onErrorLine: (line) => warnings.push(line),
  });
  const missing = (feature: RegExp) => warnings.some((line) => feature.test(line) && line.includes('not available'));
  return { xattrs: !missing(/XATTR/i), acls: !missing(/ACL/) };
}
