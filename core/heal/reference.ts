import type { Backends } from '../config/open.ts';
import { HoldfastError, isHoldfastError, messageOf } from '../errors.ts';
import type { BackupLocation } from '../repository/layout.ts';
import type { Manifest } from '../repository/manifest.ts';
import { readManifestBytes } from '../repository/readManifest.ts';
import type { CheckingKey } from '../seal/keys.ts';
import type { Backend } from '../storage/backend.ts';

/** Another backend as far as it can help, and what came of asking it. */
export interface Helper {
  readonly name: string;
  /** Unset where it could not be asked. */
  readonly backend?: Backend;
  /** Its manifest, where it has a right one. */
  readonly manifest?: { readonly manifest: Manifest; readonly bytes: Buffer };
  /** Why it has none, or could not be asked. */
  readonly problem?: HoldfastError;
}

export interface Helpers {
  readonly all: readonly Helper[];
  /** Whether one of those that could not be asked may be able to help another time. */
  readonly someSilent: boolean;
}

export interface AskOptions {
  readonly location: BackupLocation;
  readonly candidates: readonly string[];
  readonly backends: Backends;
  readonly checkingKeys: readonly CheckingKey[];
  readonly signal: AbortSignal;
}

/** Asks every candidate for its manifest. Rejects only with the signal's reason. */
export async function askHelpers(options: AskOptions): Promise<Helpers> {
  const all = await Promise.all(options.candidates.map(async (name) => askHelper(name, options)));
  return { all, someSilent: all.some(({ backend }) => backend === undefined) };
}

/**
 * The manifest that a copy is to have, byte for byte. Throws RefusedForSafety where two backends have different ones,
 * both well signed: nobody but a person can say which is right.
 */
export function agreedManifest(
  place: string,
  holders: readonly { readonly name: string; readonly manifest: { manifest: Manifest; bytes: Buffer } }[],
): { readonly manifest: Manifest; readonly bytes: Buffer } | undefined {
  const [first, ...others] = holders;
  const other = others.find(({ manifest }) => first && !manifest.bytes.equals(first.manifest.bytes));
  if (first && other) {
    throw new HoldfastError(
      'RefusedForSafety',
      `${first.name} and ${other.name} hold different manifests of ${place}, both rightly signed.`,
      {
        advice:
          'Nothing was changed. Find out which is right (`holdfast show ID --backend NAME`), and delete the other.',
      },
    );
  }
  return first?.manifest;
}

async function askHelper(name: string, { location, backends, checkingKeys, signal }: AskOptions): Promise<Helper> {
  let backend: Backend;
  try {
    backend = await backends.get(name);
    return { name, backend, manifest: await readManifestBytes(backend, location, checkingKeys, signal) };
  } catch (error) {
    signal.throwIfAborted();
    const problem = isHoldfastError(error)
      ? error
      : new HoldfastError('Unexpected', messageOf(error), { cause: error });
    const answered = ['ObjectMissing', 'ManifestInvalid', 'KeyMissing'].includes(problem.type);
    // One without a manifest may still hold objects that are right.
    return answered ? { name, backend: await backends.get(name), problem } : { name, problem };
  }
}
