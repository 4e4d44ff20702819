import type { VerificationOutcome } from '../catalog/record.ts';
import type { Backends, Keys } from '../config/open.ts';
import { isHoldfastError } from '../errors.ts';
import { findRestoreProgram } from '../postgres/restoreProgram.ts';
import type { Manifest } from '../repository/manifest.ts';
import { readManifest } from '../repository/readManifest.ts';
import { openCopy, verifyStored, type OpenOptions, type VerifyOptions } from '../repository/verify.ts';
import { noCheckingKey } from '../seal/noCheckingKey.ts';
import type { CopyVerdict, VerifyCopyStep } from './run.ts';

export interface VerifyCopyOptions extends VerifyOptions {
  readonly step: VerifyCopyStep;
  readonly backends: Backends;
  readonly keys: Keys;
  /** Unset: on this thread. */
  readonly openPart?: OpenOptions['openPart'];
}

/**
 * One look at one copy, manifest first. What is wrong with the copy is in the verdict; what keeps from looking
 * (BackendUnreachable, KeyMissing, ToolMissing) is thrown.
 */
export async function verifyCopy({ step, backends, keys, ...options }: VerifyCopyOptions): Promise<CopyVerdict> {
  const begun = performance.now();
  const backend = await backends.get(step.backend);
  const verdict = (outcome: VerificationOutcome, problems: readonly string[], bytes: number): CopyVerdict => ({
    backend: step.backend,
    depth: step.depth,
    outcome,
    problems,
    bytes,
    duration: Math.round(performance.now() - begun),
    at: new Date().toISOString(),
  });
  const checkingKeys = await keys.checking();
  if (checkingKeys.length === 0) throw noCheckingKey();
  let manifest: Manifest;
  try {
    ({ manifest } = await readManifest(backend, step.location, checkingKeys, options.signal));
  } catch (error) {
    if (isHoldfastError(error, 'ObjectMissing')) return verdict('missing', [error.message], 0);
    if (isHoldfastError(error, 'ManifestInvalid')) return verdict('damaged', [error.message], 0);
    throw error;
  }
  const report =
    step.depth === 'stored'
      ? await verifyStored(backend, manifest, options)
      : await openCopy(backend, manifest, {
          ...options,
          openingKeys: await keys.opening(),
          pgRestore: manifest.database ? await findRestoreProgram(manifest.database.clientVersion) : undefined,
        });
  const problems = report.problems.map(({ message }) => message);
  return verdict(problems.length === 0 ? 'passed' : 'damaged', problems, report.bytes);
}
