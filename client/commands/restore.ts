import { Option, type Command } from 'commander';
import type { Configuration } from '../../core/config/schema.ts';
import type { RestoreInput, RestoreProgress, RestoreResult } from '../../core/restore/flow.ts';
import type { WhenBusy } from '../../core/backup/run.ts';
import { loadFor } from '../configuration.ts';
import { addExamples } from '../examples.ts';
import { addBackupArgument, addRestoreOptions, type RestoreOptions } from '../restoreOptions.ts';
import type { Terminal } from '../terminal.ts';

interface RestoreFlags extends RestoreOptions {
  readonly mode?: RestoreInput['mode'];
  readonly confirm?: string;
  readonly backend?: string[];
  readonly skipSafetyBackup?: true;
  readonly whenBusy?: WhenBusy;
  readonly wait: boolean;
}

export function addRestoreCommand(program: Command, terminal: Terminal): void {
  const restore = addBackupArgument(program.command('restore')).description(
    'restore a backup: into a new database, or in place of the one that is there',
  );
  addRestoreOptions(restore, {
    source: 'default: the only one, or the one of the id',
    target: 'default: <name>_restored_<id>',
    table: '; not with --mode replace',
    files: 'file trees too (with --mode files or beside: only these; default there: all)',
    jobs: "default: the source's restore.jobs",
  })
    .addOption(
      new Option(
        '--mode <mode>',
        'new: beside what there is; replace: in place of the database, which is kept; files: file trees only, in place; beside: file trees only, beside those that are there',
      )
        .choices(['new', 'replace', 'files', 'beside'])
        .default('new'),
    )
    .option(
      '--confirm <name>',
      'the database that is replaced, or with --mode files the trees (a,b): instead of an approval, where none is required',
    )
    .option('--backend <name...>', 'read from these storages, in this order (default: all)')
    .option('--skip-safety-backup', 'do not back up what is replaced; it is kept all the same')
    .addOption(
      new Option('--when-busy <what>', 'while another run works on the source: wait for it, or refuse (exit code 4)')
        .choices(['wait', 'refuse'])
        .default('wait'),
    )
    .option('--no-wait', 'print the run and its link, and leave it to itself');
  addExamples(restore, [
    ['holdfast restore latest --dry-run', 'what it would do, and what stands in its way'],
    ['holdfast restore latest --target shop_copy', 'into a new database'],
    ['holdfast restore latest --before 2026-11-20T02:00:00Z --mode replace --confirm shop', 'in place of shop'],
    ['holdfast restore latest --mode files --path media/photos/1.jpg', 'one file'],
    ['holdfast restore 20261120T02 --table orders', 'one table, into a new database'],
  ]);
  restore.action(
    terminal.action((backup: string, flags: RestoreFlags) => startRestore(restore, backup, flags, terminal)),
  );
}

async function startRestore(command: Command, backup: string, flags: RestoreFlags, terminal: Terminal) {
  const { configuration } = await loadFor(command, terminal);
  const [{ runWorkflow }, { unknownName }, result, { restoreInput }] = await Promise.all([
    import('../runWorkflow.ts'),
    import('../../core/config/open.ts'),
    import('../restoreResult.ts'),
    import('../../core/restore/flow.ts'),
  ]);
  // The worker decides by its own configuration; a misspelt name is told here, before anything runs.
  const source = flags.source ?? (await sourceOf(configuration, backup));
  const configured = configuration.sources[source];
  if (!configured) throw unknownName('source', source, Object.keys(configuration.sources));
  for (const name of flags.backend ?? []) {
    if (!configuration.backends[name]) throw unknownName('backend', name, Object.keys(configuration.backends));
  }
  const input = inputOf(source, backup, flags);
  const checked = restoreInput.safeParse(input);
  if (!checked.success) throw await wrongInput(checked.error.issues);
  return runWorkflow<RestoreResult, RestoreProgress>({
    configuration,
    terminal,
    workflowType: 'restore',
    name: `restore-${source}`,
    input,
    summary: `Restore of ${source} from ${backup}${flags.dryRun ? ', a dry run' : ''}`,
    wait: flags.wait,
    unattended: (run) => result.unattendedRestore(input, configured.restore, run),
    view: result.viewOfRestore,
    isResult: result.isRestoreResult,
    describe: (restored, run) => result.describeRestoreResult(restored, terminal, { configuration, run }),
    exitCode: result.exitCodeOfRestore,
  });
}

function inputOf(source: string, backup: string, flags: RestoreFlags): RestoreInput {
  return {
    source,
    backup,
    mode: flags.mode ?? 'new',
    ...(flags.before !== undefined && { before: flags.before }),
    ...(flags.target !== undefined && { target: flags.target }),
    ...(flags.confirm !== undefined && { confirm: flags.confirm }),
    ...(flags.table !== undefined && { tables: flags.table }),
    ...(flags.files !== undefined && { files: flags.files }),
    ...(flags.path !== undefined && { paths: flags.path }),
    ...(flags.outsideLinks && { outsideLinks: true }),
    ...(flags.backend !== undefined && { backends: flags.backend }),
    ...(flags.createRoles && { createRoles: true }),
    ...(!flags.owner && { noOwner: true }),
    ...(!flags.privileges && { noPrivileges: true }),
    ...(flags.jobs !== undefined && { jobs: flags.jobs }),
    ...(flags.skipSafetyBackup && { safetyBackup: 'skip' }),
    ...(flags.dryRun && { dryRun: true }),
    ...(flags.whenBusy !== undefined && { whenBusy: flags.whenBusy }),
  };
}

async function sourceOf(configuration: Configuration, backup: string): Promise<string> {
  const [{ HoldfastError, isHoldfastError }, { catalogUrl }, { withCatalog }, { findBackup }] = await Promise.all([
    import('../../core/errors.ts'),
    import('../../core/config/open.ts'),
    import('../../core/catalog/catalog.ts'),
    import('../../core/catalog/read.ts'),
  ]);
  const known = Object.keys(configuration.sources);
  const [only, second] = known;
  if (only !== undefined && second === undefined) return only;
  const unclear = new HoldfastError('InvalidInput', `Of which source is ${backup} to be?`, {
    advice: `Say so with --source, one of ${known.join(', ')}.`,
  });
  if (backup === 'latest') throw unclear;
  try {
    return (await withCatalog(await catalogUrl(configuration), (catalog) => findBackup(catalog, backup))).source;
  } catch (error) {
    throw isHoldfastError(error, 'CatalogUnavailable') ? unclear : error;
  }
}

async function wrongInput(issues: readonly { readonly path: PropertyKey[]; readonly message: string }[]) {
  const { HoldfastError } = await import('../../core/errors.ts');
  const problems = issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  return new HoldfastError('InvalidInput', problems.join('; '), {
    advice: 'Run `holdfast restore --help` for its usage.',
  });
}
