import { HoldfastError } from '../core/errors.ts';
import { cutList } from '../core/postgres/identifiers.ts';
import { readRepository, type Repository } from '../core/repository/listRepository.ts';
import type { Manifest } from '../core/repository/manifest.ts';
import type { CheckingKey } from '../core/seal/keys.ts';
import type { Backend } from '../core/storage/backend.ts';
import { describeRepository, repositoryDocument } from './backupTable.ts';
import { EXIT_CODES, type ExitCode, type Terminal } from './terminal.ts';

export interface BackendListFilter {
  readonly source?: string | undefined;
  readonly kind?: Manifest['kind'] | undefined;
  readonly tier?: string | undefined;
  readonly limit?: number | undefined;
  /** False: where nothing is found, a wrong place or name was given. */
  readonly mayBeEmpty?: boolean | undefined;
}

/** Answers with the backups on a backend, read from their manifests. Damaged manifests are shown and make it `degraded`. */
export async function listBackend(
  terminal: Terminal,
  backend: Backend,
  checkingKeys: readonly CheckingKey[] | undefined,
  filter: BackendListFilter,
): Promise<ExitCode> {
  const repository = await repositoryOn(backend, checkingKeys, filter);
  terminal.answer(repositoryDocument(backend.name, repository), () =>
    describeRepository(terminal, backend.name, repository),
  );
  return repository.problems.length === 0 ? EXIT_CODES.done : EXIT_CODES.degraded;
}

/** What is listed of a backend. Throws InvalidInput where nothing is found and something has to be. */
export async function repositoryOn(
  backend: Backend,
  checkingKeys: readonly CheckingKey[] | undefined,
  filter: BackendListFilter,
): Promise<Repository> {
  const { source, tier, kind, limit } = filter;
  const found = await readRepository(backend, checkingKeys, { source, tier });
  if (filter.mayBeEmpty === false && found.backups.length + found.problems.length === 0)
    throw await nothingThere(backend, source);
  return {
    ...found,
    backups: found.backups.filter(({ manifest }) => kind === undefined || manifest.kind === kind).slice(0, limit),
  };
}

async function nothingThere(backend: Backend, source: string | undefined): Promise<HoldfastError> {
  const names = await Array.fromAsync(backend.listDirectories(''));
  const files = names.length === 0 ? await firstKeys(backend) : [];
  return new HoldfastError('InvalidInput', `There is no backup${source === undefined ? '' : ` of ${source}`} there`, {
    advice:
      names.length === 0
        ? `Check the directory, or bucket and prefix: ${files.length === 0 ? 'nothing lies there' : `sources would be its folders, and there are only files: ${files.join(', ')}`}.`
        : `Check the directory, or bucket and prefix: sources would be its folders, and what lies there is ${cutList(names)}.`,
  });
}

const FILES_NAMED = 5;

async function firstKeys(backend: Backend): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of backend.list('')) {
    if (keys.push(key) === FILES_NAMED) break;
  }
  return keys;
}
