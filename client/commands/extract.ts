import type { Command } from 'commander';
import { addExamples } from '../examples.ts';
import { addExtractOptions, extractFromCopies, type ExtractOptions } from '../extraction.ts';
import type { Terminal } from '../terminal.ts';

export function addExtractCommand(program: Command, terminal: Terminal): void {
  const extract = program
    .command('extract')
    .description('take a part out of a backup, decrypted and verified')
    .argument('<backup>', 'id, or the beginning of one')
    .option('--backend <name>', 'from this storage only; needs no catalog');
  addExamples(addExtractOptions(extract), [
    ['holdfast extract 20261120T02 --part database -o shop.dump', 'for pg_restore'],
    ['holdfast extract 20261120T02 --part globals -o - | less', 'roles, as SQL'],
    ['holdfast extract 20261120T02 --part media --as files -o ./media', 'the tree itself'],
  ]);
  extract.action(
    terminal.action(async (backup: string, options: ExtractOptions & { backend?: string }) => {
      const { withReading } = await import('../reading.ts');
      const { copiesOf } = await import('../locate.ts');
      return withReading(extract, terminal, async (reading) => {
        const copies = await copiesOf(reading, terminal, backup, options.backend);
        return extractFromCopies(terminal, copies, await reading.openingKeys(), options);
      });
    }),
  );
}
