import { execFile } from 'node:child_process';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What docs/recover.py needs. The versions are part of the directory's name, so that a newer list makes a new one. */
const PACKAGES = ['cryptography==50.0.2', 'zstandard==0.25.0'];
const CHECK = 'import cryptography, zstandard';

/**
 * Path of a Python 3 that has the packages of docs/recover.py: the machine's own, or a virtual environment that is made
 * once in the cache. Says what it brings; rejects with what to install where it cannot.
 */
export async function bringPython(say: (line: string) => void = (line) => process.stderr.write(`${line}\n`)) {
  const directory = join(
    process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
    'holdfast',
    `python-${PACKAGES.join('-').replaceAll('==', '-')}`,
  );
  const own = join(directory, 'bin', 'python3');
  for (const candidate of [own, 'python3']) {
    if (await works(candidate)) return candidate;
  }
  say(`Python packages for docs/recover.py are missing: installing ${PACKAGES.join(', ')} into ${directory} ...`);
  const unfinished = `${directory}.${process.pid}`;
  try {
    await mkdir(join(directory, '..'), { recursive: true });
    await run('python3', ['-m', 'venv', '--copies', unfinished]);
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...PACKAGES];
    await run(join(unfinished, 'bin', 'python3'), pip);
    await rename(unfinished, directory);
  } catch (cause) {
    await rm(unfinished, { recursive: true, force: true });
    if (await works(own)) return own;
    throw new Error(
      'docs/recover.py is tested with Python 3, cryptography and zstandard. Install them: ' +
        '`sudo apt-get install python3-cryptography python3-zstandard` or `python3 -m pip install cryptography zstandard`.',
      { cause },
    );
  }
  return own;
}

async function works(python: string): Promise<boolean> {
  return run(python, ['-c', CHECK]).then(
    () => true,
    () => false,
  );
}
