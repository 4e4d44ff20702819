import type { CatalogedBackup } from '../core/catalog/record.ts';
import { HoldfastError, isHoldfastError, messageOf } from '../core/errors.ts';
import { findPlace, findPlaces } from '../core/repository/listRepository.ts';
import type { BackupLocation } from '../core/repository/layout.ts';
import { locationOf } from '../core/repository/location.ts';
import { readManifest } from '../core/repository/readManifest.ts';
import type { RestoreCopy } from '../core/restore/run.ts';
import type { CheckingKey } from '../core/seal/keys.ts';
import type { CopyToTry } from './extraction.ts';
import type { Reading } from './reading.ts';
import type { Terminal } from './terminal.ts';

/** A backup's copies, the best first: proven before unproven, and those that cost no network before the others. */
export async function copiesOf(
  reading: Reading,
  terminal: Terminal,
  idOrPrefix: string,
  onlyBackend: string | undefined,
): Promise<CopyToTry[]> {
  const checkingKeys = await reading.checkingKeys();
  const copyOn = (name: string, location: () => Promise<BackupLocation>): CopyToTry => ({
    backend: name,
    open: async () => {
      const backend = await reading.backends.get(name);
      const { manifest } = await readManifest(backend, await location(), checkingKeys);
      return { backend, manifest };
    },
  });
  const placeOn = async (name: string) => findPlace(await reading.backends.get(name), idOrPrefix);
  if (onlyBackend !== undefined) return [copyOn(onlyBackend, () => placeOn(onlyBackend))];

  const cataloged = await fromCatalog(reading, terminal, idOrPrefix);
  if (!cataloged) {
    const names = Object.keys(reading.configuration.backends).toSorted(byCost(reading));
    const asked = names.map((backend) => ({ backend, open: () => reading.backends.get(backend) }));
    return copiesOnStorages(asked, terminal, idOrPrefix, checkingKeys);
  }
  if (cataloged.copies.length === 0) throw nothingStored(cataloged);
  const location = locationOf(cataloged);
  return cataloged.copies
    .filter(({ backend }) => reading.configuration.backends[backend])
    .toSorted(
      (a, b) =>
        Number(b.state === 'verified') - Number(a.state === 'verified') || byCost(reading)(a.backend, b.backend),
    )
    .map(({ backend }) => copyOn(backend, async () => location));
}

/** A backup's copies by what lies on the storages themselves. One that cannot be asked is passed over, and told. */
export async function copiesOnStorages(
  storages: readonly RestoreCopy[],
  terminal: Terminal,
  idOrPrefix: string,
  checkingKeys: readonly CheckingKey[] | undefined,
): Promise<CopyToTry[]> {
  const asked = storages.map(({ backend, open }) => ({ name: backend, open }));
  const { location, holding, silent } = await findPlaces(asked, idOrPrefix);
  for (const { name, error } of silent) terminal.warn(`${name} could not be asked: ${messageOf(error)}`);
  return storages
    .filter(({ backend }) => holding.includes(backend))
    .map((storage) => ({
      backend: storage.backend,
      open: async () => {
        const backend = await storage.open();
        return { backend, manifest: (await readManifest(backend, location, checkingKeys)).manifest };
      },
    }));
}

/** The worst day is when the catalog is gone too: then the storages themselves are asked. */
async function fromCatalog(reading: Reading, terminal: Terminal, idOrPrefix: string) {
  const { findBackup } = await import('../core/catalog/read.ts');
  try {
    return await reading.withCatalog((catalog) => findBackup(catalog, idOrPrefix));
  } catch (error) {
    if (!isHoldfastError(error, 'CatalogUnavailable') && !isHoldfastError(error, 'InvalidConfiguration')) throw error;
    terminal.warn(`${messageOf(error)}; looking on the backends themselves`);
    return undefined;
  }
}

function byCost({ configuration }: Reading): (a: string, b: string) => number {
  const cost = (name: string) => (configuration.backends[name]?.type === 'local' ? 0 : 1);
  return (a, b) => cost(a) - cost(b);
}

function nothingStored(backup: CatalogedBackup): HoldfastError {
  const why = backup.problem ? `: ${backup.problem.message}` : '';
  return new HoldfastError('InvalidInput', `Backup ${backup.id} failed and left no copy${why}`, {
    advice: 'Choose another with `holdfast list`.',
  });
}
