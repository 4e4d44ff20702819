import type { Command } from 'commander';
import { addExamples } from '../examples.ts';
import type { Terminal } from '../terminal.ts';

export function addConfigCommand(program: Command, terminal: Terminal): void {
  const config = program.command('config').description('check holdfast.yaml, or print its schema').helpCommand(false);
  addExamples(config, [['holdfast config check', 'every mistake at once, each with its line']]);

  addExamples(config.command('schema').description('print the JSON Schema of holdfast.yaml, for editors'), [
    ['holdfast config schema > holdfast.schema.json', 'then name it in your editor for *.yaml'],
  ]).action(
    terminal.action(async () => {
      const { configurationJsonSchema } = await import('../../core/config/jsonSchema.ts');
      const schema = configurationJsonSchema();
      terminal.answer(schema, () => JSON.stringify(schema, undefined, 2));
    }),
  );
}
