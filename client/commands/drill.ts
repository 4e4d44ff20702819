import { InvalidArgumentError, Option, type Command } from 'commander';
import type { DrillInput, DrillProgress, DrillResult } from '../../core/drill/run.ts';
import { loadFor } from '../configuration.ts';
import { addExamples } from '../examples.ts';
import { EXIT_CODES, type ExitCode, type Terminal } from '../terminal.ts';

interface DrillFlags {
  readonly backup?: string;
  readonly backend?: string;
  readonly files: boolean;
  readonly owner: boolean;
  readonly privileges: boolean;
  readonly seed?: number;
  readonly heal: boolean;
  readonly whenBusy: 'wait' | 'refuse';
  readonly wait: boolean;
  readonly history?: true;
}

const SHOWN = 50;

export function addDrillCommand(program: Command, terminal: Terminal): void {
  const drill = program
    .command('drill')
    .argument('<source>', 'name of the source')
    .description('restore a backup into a scratch database, compare it with what was dumped, and drop it')
    .option('--backup <id>', 'latest, an id, or the beginning of one (default: a random one)')
    .option('--backend <name>', 'the storage whose copy is tried (default: a random one)')
    .option('--no-files', 'only the database')
    .option('--no-owner', 'everything belongs to the role that restores')
    .option('--no-privileges', 'grant and revoke nothing')
    .option('--seed <number>', 'draw the same copy again', wholeNumber)
    .option('--no-heal', 'report a copy that is missing or damaged, and leave it as it is')
    .addOption(
      new Option('--when-busy <what>', 'while another drill of the source runs: wait for it, or refuse (exit code 4)')
        .choices(['wait', 'refuse'])
        .default('wait'),
    )
    .option('--no-wait', 'print the run and its link, and leave it to itself')
    .option('--history', 'run nothing: show the drills and restores so far, and how long recovery took');
  addExamples(drill, [
    ['holdfast drill shop', 'a random backup from a random storage'],
    ['holdfast drill shop --backup latest --backend r2', 'could we live on that copy today?'],
    ['holdfast drill shop --history', 'the trend of the time to recover'],
  ]);
  drill.action(terminal.action((source: string, flags: DrillFlags) => run(drill, source, flags, terminal)));
}

function run(command: Command, source: string, flags: DrillFlags, terminal: Terminal): Promise<ExitCode> {
  return flags.history ? showHistory(command, source, terminal) : startDrill(command, source, flags, terminal);
}

async function startDrill(command: Command, source: string, flags: DrillFlags, terminal: Terminal): Promise<ExitCode> {
  const { configuration } = await loadFor(command, terminal);
  const [{ runWorkflow }, { sourceNamed, unknownName }, shown] = await Promise.all([
    import('../runWorkflow.ts'),
    import('../../core/config/open.ts'),
    import('../drillResult.ts'),
  ]);
  // The worker decides by its own configuration; a misspelt name is told here, before anything runs.
  sourceNamed(configuration, source);
  const names = Object.keys(configuration.backends);
  if (flags.backend !== undefined && !names.includes(flags.backend)) throw unknownName('backend', flags.backend, names);
  const input: DrillInput = {
    source,
    ...(flags.backup !== undefined && { backup: flags.backup }),
    ...(flags.backend !== undefined && { backend: flags.backend }),
    ...(!flags.files && { files: false }),
    ...(!flags.owner && { noOwner: true }),
    ...(!flags.privileges && { noPrivileges: true }),
    ...(flags.seed !== undefined && { seed: flags.seed }),
    ...(!flags.heal && { heal: false }),
    ...(flags.whenBusy !== 'wait' && { whenBusy: flags.whenBusy }),
  };
  return runWorkflow<DrillResult, DrillProgress>({
    configuration,
    terminal,
    workflowType: 'drill',
    name: `drill-${source}`,
    input,
    summary: `Drill of ${source}`,
    wait: flags.wait,
    view: shown.viewOfDrill,
    isResult: shown.isDrillResult,
    describe: (result) => shown.describeDrillResult(result, terminal),
    exitCode: shown.exitCodeOfDrill,
  });
}

async function showHistory(command: Command, source: string, terminal: Terminal): Promise<ExitCode> {
  const [{ withReading }, { recentRestores }, { unknownName }, { describeRestores }] = await Promise.all([
    import('../reading.ts'),
    import('../../core/catalog/restores.ts'),
    import('../../core/config/open.ts'),
    import('../restoreHistory.ts'),
  ]);
  return withReading(command, terminal, async (reading) => {
    const restores = await reading.withCatalog((catalog) => recentRestores(catalog, { source, limit: SHOWN }));
    const sources = Object.keys(reading.configuration.sources);
    if (restores.length === 0 && !sources.includes(source)) throw unknownName('source', source, sources);
    terminal.answer({ source, restores }, () =>
      restores.length === 0 ? `No drill or restore of ${source} yet.` : describeRestores(restores, terminal),
    );
    return EXIT_CODES.done;
  });
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32)
    throw new InvalidArgumentError('expected a whole number from 0 to 4294967295.');
  return value;
}
