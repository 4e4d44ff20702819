import type { Command } from 'commander';
import type { Configuration } from '../../core/config/schema.ts';
import { isHoldfastError } from '../../core/errors.ts';
import type { ProbeReport } from '../../core/storage/probe/report.ts';
import { addExamples } from '../examples.ts';
import { EXIT_CODES, type ExitCode, type Style, type Terminal } from '../terminal.ts';

export function addStorageCommand(program: Command, terminal: Terminal): void {
  const storage = program.command('storage').description('find out what a storage can do').helpCommand(false);
  addExamples(storage, [['holdfast storage probe r2', 'try it, and compare it with its profile']]);
  const probe = storage
    .command('probe')
    .argument('<backend>', 'name of the backend')
    .description('try what the storage can do, and compare it with what its profile says; removes what it made')
    .option('--save', 'keep the result in the catalog: workers go by it from their next start on');
  addExamples(probe, [
    ['holdfast storage probe r2', 'a table: found, what the profile says, what it means'],
    ['holdfast storage probe r2 --save', 'and go by it'],
  ]);
  probe.action(terminal.action((backend: string, flags: { save?: boolean }) => run(probe, terminal, backend, flags)));
}

const STYLES: Readonly<Record<string, Style>> = { equal: 'green', differs: 'yellow', untried: 'red' };
const EXIT_CODE_OF = { equal: EXIT_CODES.done, differs: EXIT_CODES.degraded, untried: EXIT_CODES.failed } as const;

async function run(
  command: Command,
  terminal: Terminal,
  backend: string,
  { save = false }: { save?: boolean },
): Promise<ExitCode> {
  const [{ loadFor }, { backendSettings }, { probeBackend }] = await Promise.all([
    import('../configuration.ts'),
    import('../../core/config/open.ts'),
    import('../../core/storage/probe/probe.ts'),
  ]);
  const { configuration } = await loadFor(command, terminal);
  const settings = await backendSettings(configuration, backend);
  const report = await probeBackend(backend, settings, terminal.interruption());
  const saved = save && (await keep(configuration, report, terminal));
  terminal.answer({ ...report, saved }, () => {
    const rows = report.findings.map(({ what, found, expected, state, meaning }) => [
      terminal.paint(STYLES[state] ?? 'reset', state),
      what,
      found,
      expected ?? '-',
      meaning,
    ]);
    const verdict = {
      equal: 'as its profile says',
      differs: 'NOT in everything as its profile says',
      untried: 'not everything could be tried',
    }[report.state];
    return [
      `Backend ${backend} (${report.place}): ${terminal.paint(STYLES[report.state] ?? 'reset', verdict)}`,
      '',
      terminal.table(['', 'TRIED', 'FOUND', 'PROFILE', 'WHAT IT MEANS'], rows),
      ...(report.leftBehind.length > 0 ? ['', 'The probe could not remove what it made:'] : []),
      ...report.leftBehind.map((what) => `- ${what}`),
    ].join('\n');
  });
  return report.state === 'equal' && saved !== save ? EXIT_CODES.degraded : EXIT_CODE_OF[report.state];
}

/** What was found is worth showing even where it cannot be kept. */
async function keep(configuration: Configuration, report: ProbeReport, terminal: Terminal): Promise<boolean> {
  const [{ withCatalog }, { recordProbe }, { catalogUrl }] = await Promise.all([
    import('../../core/catalog/catalog.ts'),
    import('../../core/catalog/probes.ts'),
    import('../../core/config/open.ts'),
  ]);
  try {
    await withCatalog(await catalogUrl(configuration), (catalog) => recordProbe(catalog, report));
    return true;
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    terminal.warn(`the result was not kept: ${error.message}`);
    return false;
  }
}
