import { Option, type Command } from 'commander';
import type { BackupInput, BackupProgress, BackupResult, WhenBusy } from '../../core/backup/run.ts';
import { BACKUP_KINDS, TIERS, type BackupKind, type Tier } from '../../core/config/words.ts';
import { loadFor } from '../configuration.ts';
import { addExamples } from '../examples.ts';
import { describeBackupResult, exitCodeOfBackup, isBackupResult, viewOfBackup } from '../backupResult.ts';
import type { Terminal } from '../terminal.ts';

interface BackupFlags {
  readonly plan?: string;
  readonly kind?: BackupKind;
  readonly tier?: Tier;
  readonly backend?: string[];
  readonly acceptShrink?: true;
  readonly whenBusy?: WhenBusy;
  readonly wait: boolean;
}

export function addBackupCommand(program: Command, terminal: Terminal): void {
  const backup = program
    .command('backup')
    .argument('<source>', 'name of the source')
    .description('back up a source now, and prove every copy')
    .option('--plan <name>', "the plan to follow (default: the source's only one)")
    .addOption(new Option('--kind <kind>', "what of it (default: the plan's)").choices(BACKUP_KINDS))
    .addOption(new Option('--tier <tier>', 'cadence it belongs to').choices(TIERS).default('manual'))
    .option('--backend <name...>', "only to these backends (default: the plan's)")
    .option('--accept-shrink', 'accept a database that shrank more than the plan allows')
    .addOption(
      new Option('--when-busy <what>', 'while another run works on the source: wait for it, or refuse (exit code 4)')
        .choices(['wait', 'refuse'])
        .default('wait'),
    )
    .option('--no-wait', 'print the run and its link, and leave it to itself');
  addExamples(backup, [
    ['holdfast backup shop', 'by the only plan of shop'],
    ['holdfast backup shop --plan shop-daily --kind database', 'its database only'],
    ['holdfast backup shop --when-busy refuse', 'or say who is at it already'],
    ['holdfast backup shop --no-wait --json', 'start it from a script'],
  ]);
  backup.action(terminal.action((source: string, flags: BackupFlags) => startBackup(backup, source, flags, terminal)));
}

async function startBackup(command: Command, source: string, flags: BackupFlags, terminal: Terminal) {
  const { configuration } = await loadFor(command, terminal);
  const input: BackupInput = {
    source,
    tier: flags.tier ?? 'manual',
    ...(flags.plan !== undefined && { plan: flags.plan }),
    ...(flags.kind !== undefined && { kind: flags.kind }),
    ...(flags.backend !== undefined && { backends: flags.backend }),
    ...(flags.acceptShrink && { acceptShrink: true }),
    ...(flags.whenBusy !== undefined && { whenBusy: flags.whenBusy }),
  };
  // The worker decides by its own configuration; a misspelt name is told here, before anything runs.
  const { chooseJob } = await import('../../core/backup/chooseJob.ts');
  chooseJob(configuration, input);
  const { runWorkflow } = await import('../runWorkflow.ts');
  return runWorkflow<BackupResult, BackupProgress>({
    configuration,
    terminal,
    workflowType: 'backup',
    name: `backup-${source}`,
    input,
    summary: `Backup of ${source}`,
    wait: flags.wait,
    view: viewOfBackup,
    isResult: isBackupResult,
    describe: (result) => describeBackupResult(result, terminal),
    exitCode: exitCodeOfBackup,
  });
}
