import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, glob, mkdir, mkdtemp, readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';
import type { Logger } from 'pino';
import { codeOf } from '../core/errors.ts';
import { readProcess } from '../core/process/childProcess.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BUNDLE_SCRIPT = path.join(ROOT, 'scripts', 'build.ts');
const BUNDLE_FILE = 'workflows.js';
const FINGERPRINT_FILE = 'workflows.fingerprint';

/** Where bundles are kept. */
export const BUILD_DIRECTORY = path.join(ROOT, 'build');

/**
 * Path of the workflows' code as one script for the workflow sandbox. Bundling takes seconds and memory, so it is done
 * ahead (`npm run build`), used for as long as no source it could have come from has changed, and otherwise made in a
 * process of its own, whose memory ends with it.
 */
export async function loadWorkflowBundle(log: Logger): Promise<string> {
  const current = await readIfThere(path.join(BUILD_DIRECTORY, FINGERPRINT_FILE));
  if (current !== undefined && current === (await fingerprintSources())) return path.join(BUILD_DIRECTORY, BUNDLE_FILE);
  log.info('bundling the workflows: there is no current build of them (npm run build makes one)');
  const directory = await writableDirectory(log);
  await readProcess({ command: process.execPath, args: [BUNDLE_SCRIPT, directory] });
  return path.join(directory, BUNDLE_FILE);
}

/** Bundles the workflows into a directory, for the workers to come. */
export async function buildWorkflowBundle(directory: string): Promise<void> {
  const fingerprint = await fingerprintSources();
  const { code } = await bundleWorkflowCode({
    workflowsPath: path.join(ROOT, 'workflows', 'index.ts'),
    logger: { trace: silent, debug: silent, info: silent, warn: silent, error: silent, log: silent },
  });
  await mkdir(directory, { recursive: true });
  // The fingerprint comes last and both by rename: a worker that starts meanwhile never sees half a bundle.
  await replaceFile(path.join(directory, BUNDLE_FILE), code);
  await replaceFile(path.join(directory, FINGERPRINT_FILE), fingerprint);
}

/** Webpack's own progress is nobody's business; what fails is thrown. */
function silent(): void {}

/** A read-only installation works too, it only bundles at every start. */
async function writableDirectory(log: Logger): Promise<string> {
  try {
    await mkdir(BUILD_DIRECTORY, { recursive: true });
    await access(BUILD_DIRECTORY, constants.W_OK);
    return BUILD_DIRECTORY;
  } catch (error) {
    const directory = await mkdtemp(path.join(tmpdir(), 'holdfast-workflows-'));
    log.warn({ reason: codeOf(error), directory }, 'the bundle cannot be kept for the next start');
    return directory;
  }
}

async function replaceFile(file: string, content: string): Promise<void> {
  const temporary = `${file}.${process.pid}`;
  await writeFile(temporary, content);
  await rename(temporary, file);
}

async function fingerprintSources(): Promise<string> {
  const hash = createHash('sha256').update(process.version);
  const files = await Array.fromAsync(glob(['workflows/**/*.ts', 'core/**/*.ts', 'package-lock.json'], { cwd: ROOT }));
  for (const file of files.toSorted()) {
    hash.update(`${file}\0`).update(await readFile(path.join(ROOT, file)));
  }
  return hash.digest('hex');
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
