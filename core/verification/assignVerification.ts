import type { Catalog } from '../catalog/catalog.ts';
import { findBackup, isCataloged } from '../catalog/read.ts';
import { unknownName, type Backends } from '../config/open.ts';
import type { Configuration } from '../config/schema.ts';
import { HoldfastError, isHoldfastError, messageOf } from '../errors.ts';
import { isBackupId } from '../repository/backupId.ts';
import type { BackupLocation } from '../repository/layout.ts';
import { findPlaces } from '../repository/listRepository.ts';
import { locationOf } from '../repository/location.ts';
import type { VerifyAssignment, VerifyInput } from './run.ts';

export interface AssignOptions {
  readonly input: VerifyInput;
  readonly configuration: Configuration;
  readonly backends: Backends;
  readonly catalog: () => Promise<Catalog>;
  readonly signal: AbortSignal;
}

/**
 * Finds out where the copies are that the input means: by the catalog, which knows of copies that are gone, else by
 * asking the storages. Rejects with `InvalidInput` for an unknown backup or backend.
 */
export async function assignVerification(options: AssignOptions): Promise<VerifyAssignment> {
  const { input, configuration } = options;
  for (const backend of input.backends ?? []) {
    if (!configuration.backends[backend]) throw unknownName('backend', backend, Object.keys(configuration.backends));
  }
  const warnings: string[] = [];
  const found = (await findInCatalog(options, warnings)) ?? (await findInStorages(options, warnings));
  return {
    location: found.location,
    depth: input.depth ?? 'opened',
    backends: input.backends ?? found.backends,
    warnings,
  };
}

interface FoundCopies {
  readonly location: BackupLocation;
  readonly backends: readonly string[];
}

async function findInCatalog(options: AssignOptions, warnings: string[]): Promise<FoundCopies | undefined> {
  try {
    const catalog = await options.catalog();
    // A whole id that the catalog does not know may still lie in a storage: the catalog is only an index.
    if (isBackupId(options.input.backup) && !(await isCataloged(catalog, options.input.backup))) return undefined;
    const backup = await findBackup(catalog, options.input.backup);
    if (backup.manifest === undefined) {
      throw new HoldfastError(
        'InvalidInput',
        `The backup ${backup.id} failed before anything was published; there is no copy to verify.`,
        {
          advice: '`holdfast list` shows which backups have copies.',
        },
      );
    }
    // A copy that was never made is no copy that is missing.
    const held = backup.copies.filter(({ state }) => state !== 'failed').map(({ backend }) => backend);
    const known = held.filter((backend) => options.configuration.backends[backend]);
    for (const backend of held)
      if (!known.includes(backend)) warnings.push(`The backend ${backend} is no longer configured.`);
    return { location: locationOf(backup), backends: known };
  } catch (error) {
    if (!isHoldfastError(error, 'CatalogUnavailable')) throw error;
    warnings.push(`${error.message}; the storages were asked.`);
    return undefined;
  }
}

async function findInStorages(
  { input, configuration, backends, signal }: AssignOptions,
  warnings: string[],
): Promise<FoundCopies> {
  const names = input.backends ?? Object.keys(configuration.backends);
  const asked = names.map((name) => ({ name, open: () => backends.get(name) }));
  const { location, holding, silent } = await findPlaces(asked, input.backup, signal);
  for (const { name, error } of silent) warnings.push(`${name} could not be asked: ${messageOf(error)}`);
  // A copy may lie on a backend that does not answer: it is looked at too, so that nobody reads "every copy passed".
  return { location, backends: input.backends ?? [...holding, ...silent.map(({ name }) => name)] };
}
