import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The full path of a program on PATH, or undefined. */
export async function findOnPath(program: string, environment: Environment): Promise<string | undefined> {
  const candidates = (environment['PATH'] ?? '')
    .split(delimiter)
    .filter((directory) => directory !== '')
    .map((directory) => join(directory, program));
  return firstExecutable(candidates);
}

export async function firstExecutable(paths: readonly string[]): Promise<string | undefined> {
  const checked = await Promise.all(paths.map(isExecutable));
  return paths[checked.indexOf(true)];
}

/** Where programs that Holdfast brought are kept between runs: `$XDG_CACHE_HOME/holdfast/bin` or `~/.cache/holdfast/bin`. */
export async function programCache(environment: Environment): Promise<string> {
  const directory = join(environment['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'holdfast', 'bin');
  await mkdir(directory, { recursive: true });
  return directory;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
