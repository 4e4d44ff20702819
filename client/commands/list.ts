import { InvalidArgumentError, Option, type Command } from 'commander';
import { BACKUP_KINDS, TIERS, type BackupKind, type Tier } from '../../core/config/words.ts';
import { addExamples } from '../examples.ts';
import { EXIT_CODES, type ExitCode, type Terminal } from '../terminal.ts';

interface ListOptions {
  readonly backend?: string;
  readonly kind?: BackupKind;
  readonly tier?: Tier;
  readonly limit?: number;
}

export function addListCommand(program: Command, terminal: Terminal): void {
  const list = program
    .command('list')
    .description('list backups and failed runs, newest first')
    .argument('[source]', 'only those of this source')
    .option('--backend <name>', 'read this storage itself; needs no catalog')
    .addOption(new Option('--kind <kind>', 'only this kind').choices(BACKUP_KINDS))
    .addOption(new Option('--tier <tier>', 'only this tier').choices(TIERS))
    .option('--limit <count>', 'at most so many', positiveInteger);
  addExamples(list, [
    ['holdfast list shop', 'from the catalog'],
    ['holdfast list --backend r2', 'what really lies there'],
  ]);
  list.action(
    terminal.action((source: string | undefined, options: ListOptions) => run(list, terminal, source, options)),
  );
}

async function run(
  command: Command,
  terminal: Terminal,
  source: string | undefined,
  options: ListOptions,
): Promise<ExitCode> {
  const { withReading } = await import('../reading.ts');
  const { unknownName } = await import('../../core/config/open.ts');
  return withReading(command, terminal, async (reading) => {
    const { backend, kind, tier, limit } = options;
    if (backend !== undefined) {
      const { listBackend } = await import('../listBackend.ts');
      const filter = { source, kind, tier, limit };
      return listBackend(terminal, await reading.backends.get(backend), await reading.checkingKeys(), filter);
    }
    const { listBackups } = await import('../../core/catalog/read.ts');
    const { describeCatalogList } = await import('../backupTable.ts');
    const backups = await reading.withCatalog((catalog) => listBackups(catalog, { source, kind, tier, limit }));
    // A source that left the configuration may still have backups; one that never was is a slip of the hand.
    const sources = Object.keys(reading.configuration.sources);
    if (source !== undefined && backups.length === 0 && !sources.includes(source)) {
      throw unknownName('source', source, sources);
    }
    terminal.answer({ backups }, () => describeCatalogList(terminal, backups));
    return EXIT_CODES.done;
  });
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('expected a whole number from 1.');
  return value;
}
