import type { Command } from 'commander';
import { Option } from 'commander';
import { loadFor } from '../configuration.ts';
import { addExamples } from '../examples.ts';
import { generateKey, type GeneratableType } from '../generateKey.ts';
import { EXIT_CODES, type Terminal } from '../terminal.ts';

export function addKeysCommand(program: Command, terminal: Terminal): void {
  const keys = program
    .command('keys')
    .description('make, list and prove the keys that seal, open and sign')
    .helpCommand(false);
  addExamples(keys, [['holdfast keys list', 'what each key can do here, and which plans use it']]);
  addGenerate(keys, terminal);
  addList(keys, terminal);
  addProve(keys, terminal);
}

function addGenerate(keys: Command, terminal: Terminal): void {
  const generate = keys
    .command('generate')
    .description('write a new key to files of mode 0600; nothing is ever overwritten')
    .argument('<name>', 'its name, which names the files too')
    .addOption(new Option('--type <type>', 'kind of key').choices(['aes-256', 'rsa', 'ed25519']).default('aes-256'))
    .option('--directory <path>', 'where to write it', 'keys');
  addExamples(generate, [
    ['holdfast keys generate ops', 'a symmetric key: seals and opens'],
    ['holdfast keys generate escrow --type rsa', 'a pair; keep the private half elsewhere'],
    ['holdfast keys generate sign --type ed25519', 'signs manifests'],
  ]);
  generate.action(
    terminal.action(async (name: string, options: { type: GeneratableType; directory: string }) => {
      const made = await generateKey(name, options.type, options.directory);
      terminal.answer(made, () =>
        [
          `Made ${made.type} key ${made.id}:`,
          `  ${made.files.secret}  (secret, mode 0600)`,
          ...(made.files.public === undefined ? [] : [`  ${made.files.public}  (public)`]),
          '',
          'Add it to holdfast.yaml under keys:',
          `  ${made.yaml}`,
          '',
          made.advice,
        ].join('\n'),
      );
    }),
  );
}

function addList(keys: Command, terminal: Terminal): void {
  const list = keys
    .command('list')
    .description('show every configured key, what it can do here and which plans use it');
  addExamples(list, [['holdfast keys list', 'a key that cannot be loaded is shown with the reason (exit code 3)']]);
  list.action(
    terminal.action(async () => {
      const { configuration } = await loadFor(list, terminal);
      const { describeKeys } = await import('../../core/config/keyReport.ts');
      const found = await describeKeys(configuration);
      terminal.answer({ keys: found }, () => {
        const rows = found.map(({ name, type, id, can, plans, problems }) => [
          name,
          type,
          id ?? '-',
          can.join(', ') || '-',
          plans.join(', ') || '-',
          terminal.paint('red', problems.join('; ')),
        ]);
        return terminal.table(['NAME', 'TYPE', 'ID', 'CAN', 'PLANS', 'PROBLEM'], rows);
      });
      return found.every(({ problems }) => problems.length === 0) ? EXIT_CODES.done : EXIT_CODES.degraded;
    }),
  );
}

const RESULT_STYLES = { proven: 'green', failed: 'red', unproven: 'yellow' } as const;

function addProve(keys: Command, terminal: Terminal): void {
  const prove = keys
    .command('prove')
    .description('prove keys by using them: seal and open, sign and check')
    .argument('[name]', 'one key; all of them otherwise')
    .option('--private-key <file>', 'file with the private half of that key, e.g. on a mounted stick');
  addExamples(prove, [
    ['holdfast keys prove', 'every key; exit code 1 if one fails, 3 if one cannot be proven here'],
    ['holdfast keys prove escrow --private-key /mnt/stick/escrow.pem', 'that the escrow key still opens'],
  ]);
  prove.action(
    terminal.action(async (name: string | undefined, options: { privateKey?: string }) => {
      const { configuration } = await loadFor(prove, terminal);
      const { proveKeys } = await import('../../core/config/keyReport.ts');
      const proofs = await proveKeys(configuration, { name, privateKeyFile: options.privateKey });
      terminal.answer({ keys: proofs }, () => {
        const rows = proofs.map(({ name: key, type, id, result, detail }) => [
          key,
          type,
          id ?? '-',
          terminal.paint(RESULT_STYLES[result], result),
          detail,
        ]);
        return terminal.table(['NAME', 'TYPE', 'ID', 'RESULT', 'DETAIL'], rows);
      });
      if (proofs.some(({ result }) => result === 'failed')) return EXIT_CODES.failed;
      return proofs.every(({ result }) => result === 'proven') ? EXIT_CODES.done : EXIT_CODES.degraded;
    }),
  );
}
