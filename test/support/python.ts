import { execFile } from 'node:child_process';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

interface PythonNeed {
  /** What needs them, for messages. */
  readonly what: string;
  /** Pinned. The versions are part of the directory's name, so that a newer list makes a new one. */
  readonly packages: readonly string[];
  /** Python that fails without them. */
  readonly check: string;
  readonly advice: string;
}

const RECOVER: PythonNeed = {
  what: 'docs/recover.py',
  packages: ['cryptography==50.0.2', 'zstandard==0.25.0'],
  check: 'import cryptography, zstandard',
  advice:
    '`sudo apt-get install python3-cryptography python3-zstandard` or `python3 -m pip install cryptography zstandard`.',
};

const DJANGO: PythonNeed = {
  what: 'the Django project of the tests',
  packages: ['Django==5.2.19', 'psycopg[binary]==3.3.9'],
  // Only these: what a project's migrations are depends on the release.
  check: 'import django, psycopg; assert django.VERSION[:3] == (5, 2, 19)',
  advice: '`sudo apt-get install python3-venv` (Debian, Ubuntu), and let pip reach a package index.',
};

type Say = (line: string) => void;
const onStandardError: Say = (line) => process.stderr.write(`${line}\n`);

/** Path of a Python 3 that has the packages of docs/recover.py. Rejects with what to install where it cannot be had. */
export function bringPython(say: Say = onStandardError): Promise<string> {
  return bring(RECOVER, say);
}

/** The same with Django and its driver for PostgreSQL. */
export function bringDjango(say: Say = onStandardError): Promise<string> {
  return bring(DJANGO, say);
}

/**
 * The machine's own Python where it has the packages, or a virtual environment that is made once in the cache. Says
 * what it brings.
 */
async function bring(need: PythonNeed, say: Say): Promise<string> {
  const name = need.packages
    .join('-')
    .replaceAll('==', '-')
    .replaceAll(/[^\w.-]/g, '_');
  const directory = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'holdfast', `python-${name}`);
  const own = join(directory, 'bin', 'python3');
  for (const candidate of [own, 'python3']) {
    if (await works(candidate, need)) return candidate;
  }
  say(`Python packages for ${need.what} are missing: installing ${need.packages.join(', ')} into ${directory} ...`);
  const unfinished = `${directory}.${process.pid}`;
  try {
    await mkdir(join(directory, '..'), { recursive: true });
    await run('python3', ['-m', 'venv', '--copies', unfinished]);
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...need.packages];
    await run(join(unfinished, 'bin', 'python3'), pip);
    await rename(unfinished, directory);
  } catch (cause) {
    await rm(unfinished, { recursive: true, force: true });
    if (await works(own, need)) return own;
    throw new Error(`${need.what} needs Python 3 with ${need.packages.join(' and ')}. Install them: ${need.advice}`, {
      cause,
    });
  }
  return own;
}

async function works(python: string, { check }: PythonNeed): Promise<boolean> {
  return run(python, ['-c', check]).then(
    () => true,
    () => false,
  );
}
