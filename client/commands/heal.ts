import { Option, type Command } from 'commander';
import type { HealDepth, HealInput } from '../../core/heal/run.ts';
import { loadFor } from '../configuration.ts';
import { addExamples } from '../examples.ts';
import type { Terminal } from '../terminal.ts';

interface HealFlags {
  readonly backup?: string;
  readonly backend?: string[];
  readonly depth: HealDepth;
  readonly wait: boolean;
}

export function addHealCommand(program: Command, terminal: Terminal): void {
  const heal = program
    .command('heal')
    .argument('<source>', 'name of the source')
    .description('make copies that are missing or damaged whole again, from copies that are good')
    .option('--backup <id>', 'only this backup: its id, or the beginning of it')
    .option('--backend <name...>', 'only on these backends; each is to hold every backup that is looked at')
    .addOption(
      new Option(
        '--depth <depth>',
        'how closely to look: listed: manifests and sizes; stored: every byte; opened: and every part opens',
      )
        .choices(['listed', 'stored', 'opened'])
        .default('listed'),
    )
    .option('--no-wait', 'print the run and its link, and leave it to itself');
  addExamples(heal, [
    ['holdfast heal shop', 'whatever is missing or damaged; a heal that waits for a backend looks again at once'],
    ['holdfast heal shop --depth stored', 'read every copy of every backup'],
    ['holdfast heal shop --backend b2', 'fill a new storage with the backups that there are'],
  ]);
  heal.action(terminal.action((source: string, flags: HealFlags) => startHeal(heal, source, flags, terminal)));
}

async function startHeal(command: Command, source: string, flags: HealFlags, terminal: Terminal) {
  const { configuration } = await loadFor(command, terminal);
  const [{ runHeal }, { unknownName }] = await Promise.all([
    import('../runHeal.ts'),
    import('../../core/config/open.ts'),
  ]);
  // The worker decides by its own configuration; a misspelt name is told here, before anything runs.
  if (!configuration.sources[source]) throw unknownName('source', source, Object.keys(configuration.sources));
  for (const name of flags.backend ?? []) {
    if (!configuration.backends[name]) throw unknownName('backend', name, Object.keys(configuration.backends));
  }
  const input: HealInput = {
    source,
    ...(flags.backup !== undefined && { backup: flags.backup }),
    ...(flags.backend !== undefined && { backends: flags.backend }),
    ...(flags.depth !== 'listed' && { depth: flags.depth }),
  };
  return runHeal({ configuration, terminal, input, wait: flags.wait });
}
