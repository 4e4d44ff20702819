import type { Command } from 'commander';
import { addExamples } from '../examples.ts';
import { EXIT_CODES, type ExitCode, type Terminal } from '../terminal.ts';

export function addShowCommand(program: Command, terminal: Terminal): void {
  const show = program
    .command('show')
    .description('show everything that is known of a backup')
    .argument('<backup>', 'id, or the beginning of one')
    .option('--backend <name>', 'read its manifest from this storage; needs no catalog');
  addExamples(show, [
    ['holdfast show 20261120T02', 'from the catalog, with every copy'],
    ['holdfast show 20261120T02 --backend r2', 'the manifest as it lies there'],
  ]);
  show.action(
    terminal.action((backup: string, options: { backend?: string }) => run(show, terminal, backup, options.backend)),
  );
}

async function run(
  command: Command,
  terminal: Terminal,
  idOrPrefix: string,
  backendName: string | undefined,
): Promise<ExitCode> {
  const { withReading } = await import('../reading.ts');
  const { describeCataloged, describeManifest } = await import('../backupDetails.ts');
  return withReading(command, terminal, async (reading) => {
    if (backendName !== undefined) {
      const { findPlace } = await import('../../core/repository/listRepository.ts');
      const { readManifest } = await import('../../core/repository/readManifest.ts');
      const backend = await reading.backends.get(backendName);
      const place = await findPlace(backend, idOrPrefix);
      const read = await readManifest(backend, place, await reading.checkingKeys());
      terminal.answer({ backend: backendName, ...read }, () => describeManifest(terminal, read.manifest));
      return EXIT_CODES.done;
    }
    const { findBackup, listVerifications } = await import('../../core/catalog/read.ts');
    const { recentRestores } = await import('../../core/catalog/restores.ts');
    const known = await reading.withCatalog(async (catalog) => {
      const backup = await findBackup(catalog, idOrPrefix);
      const verifications = await listVerifications(catalog, backup.id);
      return { backup, verifications, restores: await recentRestores(catalog, { backup: backup.id, limit: 20 }) };
    });
    terminal.answer(known, () => describeCataloged(terminal, known.backup, known.verifications, known.restores));
    return EXIT_CODES.done;
  });
}
