import type { RestoreCopy } from '../../core/restore/run.ts';
import type { CheckingKey } from '../../core/seal/keys.ts';
import { describeRepository, repositoryDocument } from '../backupTable.ts';
import { listBackend, repositoryOn, type BackendListFilter } from '../listBackend.ts';
import { describeError, EXIT_CODES, type ExitCode, type Terminal } from '../terminal.ts';

/**
 * Answers with the backups on each of the storages. One of several that cannot be read is told in its place and makes it
 * `degraded`; the first one's error is thrown where none can be.
 */
export async function listStorages(
  terminal: Terminal,
  copies: readonly RestoreCopy[],
  checkingKeys: readonly CheckingKey[] | undefined,
  filter: BackendListFilter,
): Promise<ExitCode> {
  const [only, second] = copies;
  if (only && !second) return listBackend(terminal, await only.open(), checkingKeys, filter);
  const listed = await Promise.all(copies.map((copy) => listOne(terminal, copy, checkingKeys, filter)));
  const failures = listed.filter((each) => 'error' in each);
  if (failures[0] && failures.length === listed.length) throw failures[0].error;
  terminal.answer({ storages: listed.map(({ document }) => document) }, () =>
    listed.map(({ text }) => text()).join('\n\n'),
  );
  return listed.every(({ complete }) => complete) ? EXIT_CODES.done : EXIT_CODES.degraded;
}

async function listOne(
  terminal: Terminal,
  { backend, open }: RestoreCopy,
  checkingKeys: readonly CheckingKey[] | undefined,
  filter: BackendListFilter,
) {
  try {
    const repository = await repositoryOn(await open(), checkingKeys, filter);
    return {
      complete: repository.problems.length === 0,
      document: repositoryDocument(backend, repository),
      text: () => describeRepository(terminal, backend, repository),
    };
  } catch (error) {
    const report = describeError(error);
    const text = () => [`${backend}: ${report.message}`, ...(report.advice ? [report.advice] : [])].join('\n');
    return { complete: false, document: { backend, error: report }, text, error };
  }
}
