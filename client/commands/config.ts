import type { Command } from 'commander';
import type { CheckedConfiguration } from '../../core/config/load.ts';
import type { Configuration } from '../../core/config/schema.ts';
import type { ConfigurationIssue } from '../../core/config/issue.ts';
import { configurationPathOf } from '../configuration.ts';
import { addExamples } from '../examples.ts';
import { describeError, EXIT_CODES, type Terminal } from '../terminal.ts';

export function addConfigCommand(program: Command, terminal: Terminal): void {
  const config = program.command('config').description('check holdfast.yaml, or print its schema').helpCommand(false);
  addExamples(config, [['holdfast config check', 'every mistake at once, each with its line']]);

  const check = config.command('check').description('find every mistake in holdfast.yaml');
  addExamples(check, [
    ['holdfast config check', 'check ./holdfast.yaml or $HOLDFAST_CONFIG'],
    ['holdfast --config prod.yaml config check', 'check another file'],
  ]);
  check.action(terminal.action(() => checkFile(check, terminal)));

  const schema = config.command('schema').description('print the JSON Schema of holdfast.yaml, for editors');
  addExamples(schema, [['holdfast config schema > holdfast.schema.json', 'then name it in your editor for *.yaml']]);
  schema.action(
    terminal.action(async () => {
      const { configurationJsonSchema } = await import('../../core/config/jsonSchema.ts');
      const document = configurationJsonSchema();
      terminal.answer(document, () => JSON.stringify(document, undefined, 2));
    }),
  );
}

async function checkFile(command: Command, terminal: Terminal) {
  const { checkConfiguration, unusable } = await import('../../core/config/load.ts');
  const { checkSecrets } = await import('../../core/config/secretChecks.ts');
  const checked = await checkConfiguration(await configurationPathOf(command));
  const { path, configuration, errors } = checked;
  const secrets = configuration === undefined ? [] : await checkSecrets(configuration);
  const keys = configuration === undefined ? [] : await unusableKeys(configuration);
  const warnings = [...checked.warnings, ...secrets, ...keys];
  const document = { path, valid: errors.length === 0, errors, warnings };
  if (errors.length > 0) {
    const error = describeError(unusable(path, errors));
    terminal.answer({ error, ...document }, () => describe(checked, warnings, terminal));
    return EXIT_CODES.usage;
  }
  terminal.answer(document, () => describe(checked, warnings, terminal));
  return EXIT_CODES.done;
}

/** A key that can be read but is none; one that cannot be read has been told with the other secrets. */
async function unusableKeys(configuration: Configuration): Promise<ConfigurationIssue[]> {
  const { describeKeys } = await import('../../core/config/keyReport.ts');
  const keys = await describeKeys(configuration);
  return keys.flatMap(({ name, id, problems }) =>
    id === undefined ? problems.map((message) => ({ path: `keys.${name}`, message })) : [],
  );
}

function describe(checked: CheckedConfiguration, warnings: readonly ConfigurationIssue[], terminal: Terminal): string {
  const { errors, configuration, path } = checked;
  const rows = [
    ...errors.map((issue) => [terminal.paint('red', 'error'), ...cells(issue)]),
    ...warnings.map((issue) => [terminal.paint('yellow', 'warning'), ...cells(issue)]),
  ];
  const table = rows.length === 0 ? [] : [terminal.table(['', 'LINE', 'WHERE', 'WHAT'], rows), ''];
  const summary =
    configuration === undefined
      ? `${path} cannot be used: ${count(errors, 'error')}, ${count(warnings, 'warning')}.`
      : `${path} is valid: ${contents(configuration)}; ${count(warnings, 'warning')}.`;
  return [...table, summary].join('\n');
}

function cells({ line, path, message }: ConfigurationIssue): string[] {
  return [line === undefined ? '' : String(line), path, message];
}

function contents(configuration: NonNullable<CheckedConfiguration['configuration']>): string {
  const { sources, plans, backends, keys } = configuration;
  return [
    count(Object.keys(sources), 'source'),
    count(Object.keys(plans), 'plan'),
    count(Object.keys(backends), 'backend'),
    count(Object.keys(keys), 'key'),
  ].join(', ');
}

function count(things: readonly unknown[], word: string): string {
  return `${things.length} ${word}${things.length === 1 ? '' : 's'}`;
}
