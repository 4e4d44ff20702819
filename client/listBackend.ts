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
}

/** Answers with the backups on a backend, read from their manifests. Damaged manifests are shown and make it `degraded`. */
export async function listBackend(
  terminal: Terminal,
  backend: Backend,
  checkingKeys: readonly CheckingKey[] | undefined,
  filter: BackendListFilter,
): Promise<ExitCode> {
  const { source, tier, kind, limit } = filter;
  const found = await readRepository(backend, checkingKeys, { source, tier });
  const repository: Repository = {
    backups: found.backups.filter(({ manifest }) => kind === undefined || manifest.kind === kind).slice(0, limit),
    problems: found.problems,
  };
  terminal.answer(repositoryDocument(backend.name, repository), () =>
    describeRepository(terminal, backend.name, repository),
  );
  return repository.problems.length === 0 ? EXIT_CODES.done : EXIT_CODES.degraded;
}
