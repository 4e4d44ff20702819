import { createHash } from 'node:crypto';
import { glob, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';
import type { Logger } from 'pino';
import { codeOf, messageOf } from '../core/errors.ts';

/** Webpack's own progress is nobody's business; what fails is thrown. */
const silent = () => undefined;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BUNDLE = path.join(ROOT, 'build', 'workflows.js');
const FINGERPRINT = path.join(ROOT, 'build', 'workflows.fingerprint');

/**
 * The workflows' code as one script for the workflow sandbox. Bundling takes seconds and memory, so it is done ahead
 * (`npm run build`) and used for as long as no source it could have come from has changed.
 */
export async function loadWorkflowBundle(log: Logger): Promise<{ codePath: string } | { code: string }> {
  const fingerprint = await fingerprintSources();
  if ((await readIfThere(FINGERPRINT)) === fingerprint) return { codePath: BUNDLE };
  log.info('bundling the workflows: there is no current build of them (npm run build makes one)');
  const { code } = await bundleWorkflows();
  try {
    await store(code, fingerprint);
  } catch (error) {
    // A read-only installation works, it only starts slower.
    log.warn({ error: messageOf(error) }, 'the bundle could not be kept for the next start');
  }
  return { code };
}

/** Bundles the workflows and keeps the bundle for the workers to come. */
export async function buildWorkflowBundle(): Promise<void> {
  const fingerprint = await fingerprintSources();
  const { code } = await bundleWorkflows();
  await store(code, fingerprint);
}

function bundleWorkflows() {
  return bundleWorkflowCode({
    workflowsPath: path.join(ROOT, 'workflows', 'index.ts'),
    logger: { trace: silent, debug: silent, info: silent, warn: silent, error: silent, log: silent },
  });
}

async function store(code: string, fingerprint: string): Promise<void> {
  await mkdir(path.dirname(BUNDLE), { recursive: true });
  // The fingerprint comes last and both by rename: a worker that starts meanwhile never sees half a bundle.
  for (const [file, content] of [
    [BUNDLE, code],
    [FINGERPRINT, fingerprint],
  ] as const) {
    const temporary = `${file}.${process.pid}`;
    await writeFile(temporary, content);
    await rename(temporary, file);
  }
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
