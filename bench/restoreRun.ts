import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { RestoredDatabase } from '../core/restore/run.ts';
import type { Installation } from './holdfastRun.ts';

/** All that the benchmark knows of a restore: restoreOnce.ts in a process of its own. */

export interface RestoreOrder {
  /** Path of holdfast.yaml. */
  readonly configuration: string;
  /** The only storage to read from. */
  readonly backend: string;
  /** Id of the backup. */
  readonly backup: string;
  readonly target: string;
  readonly jobs: number;
}

export interface RestoreAnswer {
  readonly durations: RestoredDatabase['durations'];
  /** Milliseconds. */
  readonly reconciliation: number;
  /** Resident memory in bytes, just before the restore and at its highest until its end. */
  readonly memory: { readonly before: number; readonly peak: number };
}

export interface RestoreRun {
  /** Wall clock of the whole process, from start to exit. */
  readonly seconds: number;
  readonly answer: RestoreAnswer;
}

const PROGRAM = fileURLToPath(new URL('restoreOnce.ts', import.meta.url));

/** Restores into a database that does not exist yet, and reconciles it; rejects unless the two are equal. */
export async function runRestore(
  installation: Installation,
  wish: Omit<RestoreOrder, 'configuration'>,
): Promise<RestoreRun> {
  const order: RestoreOrder = { ...wish, configuration: installation.configuration };
  const began = process.hrtime.bigint();
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, JSON.stringify(order)], {
    // What client/bin.js turns on for every command.
    env: { ...installation.environment, NODE_COMPILE_CACHE: join(dirname(installation.configuration), 'compiled') },
  });
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  return { seconds, answer: JSON.parse(stdout) as RestoreAnswer };
}
