import type { Command } from 'commander';
import { addExamples } from '../examples.ts';
import type { Terminal } from '../terminal.ts';

export function addInitCommand(program: Command, terminal: Terminal): void {
  const init = program
    .command('init')
    .description('write a first holdfast.yaml and the keys it names; nothing is ever overwritten')
    .option('--directory <path>', 'where to', '.');
  addExamples(init, [
    ['holdfast init', 'here'],
    ['holdfast init --directory /etc/holdfast', 'elsewhere; the folder is made'],
  ]);
  init.action(
    terminal.action(async ({ directory }: { directory: string }) => {
      const { initialize } = await import('../initialize.ts');
      const made = await initialize(directory);
      terminal.answer(made, () =>
        [
          'Written, with mode 0600:',
          ...made.files.map((file) => `  ${file}`),
          '',
          'Next:',
          ...made.nextSteps.map((step, index) => `  ${index + 1}. ${step.replaceAll('\n', '\n   ')}`),
        ].join('\n'),
      );
    }),
  );
}
