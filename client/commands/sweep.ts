import { InvalidArgumentError, type Command } from 'commander';
import type { SweepProgress, SweepResult } from '../../core/sweep/run.ts';
import { loadFor } from '../configuration.ts';
import { addExamples } from '../examples.ts';
import { EXIT_CODES, type ExitCode, type Terminal } from '../terminal.ts';

interface SweepFlags {
  readonly backend?: string[];
  readonly olderThan?: string;
  readonly dryRun?: boolean;
  readonly wait: boolean;
}

export function addSweepCommand(program: Command, terminal: Terminal): void {
  const sweep = program
    .command('sweep')
    .description('remove what dead runs left: spool, uploads under way, objects without a manifest')
    .option('--backend <name...>', 'only these backends (default: all)')
    .option('--older-than <age>', 'least age, e.g. 36h or 0s (default: maintenance.sweepAfter)', age)
    .option('--dry-run', 'say what would be removed, and remove nothing')
    .option('--no-wait', 'print the run and its link, and leave it to itself');
  addExamples(sweep, [
    ['holdfast sweep --dry-run', 'what is there that no run can use any more'],
    ['holdfast sweep --backend r2 --older-than 0s', 'remove it at once; what a run may still write stays'],
  ]);
  sweep.action(terminal.action((flags: SweepFlags) => startSweep(sweep, flags, terminal)));
}

async function startSweep(command: Command, flags: SweepFlags, terminal: Terminal): Promise<ExitCode> {
  const { configuration } = await loadFor(command, terminal);
  const [{ runWorkflow }, { unknownName }] = await Promise.all([
    import('../runWorkflow.ts'),
    import('../../core/config/open.ts'),
  ]);
  const known = Object.keys(configuration.backends);
  for (const name of flags.backend ?? []) if (!known.includes(name)) throw unknownName('backend', name, known);
  const { describeSweepResult } = await import('../sweepResult.ts');
  return runWorkflow<SweepResult, SweepProgress>({
    configuration,
    terminal,
    workflowType: 'sweep',
    name: 'sweep',
    input: {
      ...(flags.backend && { backends: flags.backend }),
      ...(flags.olderThan !== undefined && { olderThan: flags.olderThan }),
      ...(flags.dryRun && { dryRun: true }),
    },
    summary: `Sweep of what dead runs left${flags.dryRun ? ', dry run' : ''}`,
    wait: flags.wait,
    view: ({ places }) => ({
      phase: 'sweeping',
      lines: places.map(({ place, state }) => ({ label: place, done: 0, state })),
    }),
    isResult: isSweepResult,
    describe: (result) => describeSweepResult(result, terminal),
    exitCode: ({ state }) => (state === 'done' ? EXIT_CODES.done : EXIT_CODES.degraded),
  });
}

/** Checked before anything starts; the run reads it again. */
function age(text: string): string {
  if (/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text)) return text;
  throw new InvalidArgumentError('expected an age such as 0s, 90m, 36h or 30d.');
}

function isSweepResult(detail: unknown): detail is SweepResult {
  return typeof detail === 'object' && detail !== null && 'reports' in detail && Array.isArray(detail.reports);
}
