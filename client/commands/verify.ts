import { Option, type Command } from 'commander';
import type {
  CopyVerdict,
  VerifyDepth,
  VerifyInput,
  VerifyProgress,
  VerifyResult,
} from '../../core/verification/run.ts';
import { loadFor } from '../configuration.ts';
import { addExamples } from '../examples.ts';
import { EXIT_CODES, type Terminal } from '../terminal.ts';

interface VerifyFlags {
  readonly depth: VerifyDepth;
  readonly backend?: string[];
  readonly heal: boolean;
  readonly wait: boolean;
}

export function addVerifyCommand(program: Command, terminal: Terminal): void {
  const verify = program
    .command('verify')
    .argument('<backup>', 'id of the backup, or the beginning of it')
    .description('read the copies of a backup back, and say of each whether it is good')
    .addOption(
      new Option(
        '--depth <depth>',
        'stored: every byte hashes right; opened: and every part opens and reads to its end; restored: by a drill of each copy',
      )
        .choices(['stored', 'opened', 'restored'])
        .default('opened'),
    )
    .option('--backend <name...>', 'only these backends (default: all that hold a copy)')
    .option('--no-heal', 'report copies that are missing or damaged, and leave them as they are')
    .option('--no-wait', 'print the run and its link, and leave it to itself');
  addExamples(verify, [
    ['holdfast verify 20261120T020000Z-7f3k9q', 'open every copy'],
    ['holdfast verify 20261120T02 --depth stored --backend r2', 'hash the copy on one backend'],
    ['holdfast verify 20261120T02 --depth restored', 'restore each copy into a scratch database, and compare'],
  ]);
  verify.action(terminal.action((backup: string, flags: VerifyFlags) => startVerify(verify, backup, flags, terminal)));
}

async function startVerify(command: Command, backup: string, flags: VerifyFlags, terminal: Terminal) {
  const { configuration } = await loadFor(command, terminal);
  const [{ runWorkflow }, { unknownName }, { formatBytes, formatDuration }] = await Promise.all([
    import('../runWorkflow.ts'),
    import('../../core/config/open.ts'),
    import('../../core/format.ts'),
  ]);
  for (const name of flags.backend ?? []) {
    if (!configuration.backends[name]) throw unknownName('backend', name, Object.keys(configuration.backends));
  }
  const input: VerifyInput = {
    backup,
    depth: flags.depth,
    ...(flags.backend && { backends: flags.backend }),
    ...(!flags.heal && { heal: false }),
  };
  const row = ({ backend, outcome, bytes, duration, problems }: CopyVerdict) => [
    backend,
    terminal.paint(outcome === 'passed' ? 'green' : 'red', outcome),
    formatBytes(bytes),
    formatDuration(duration),
    String(problems.length),
  ];
  return runWorkflow<VerifyResult, VerifyProgress>({
    configuration,
    terminal,
    workflowType: 'verify',
    name: `verify-${backup}`,
    input,
    summary: `Verification of ${backup}, ${flags.depth}`,
    wait: flags.wait,
    view: (progress) => ({
      phase: `reading ${progress.backup}`,
      lines: progress.copies.map(({ backend, state, bytes }) => ({ label: backend, done: bytes, state })),
    }),
    isResult: isVerifyResult,
    describe: (result) =>
      [
        `Backup ${result.backup} of ${result.source}, depth ${result.depth}: ${result.passed ? 'every copy passed' : 'NOT every copy passed'}`,
        '',
        terminal.table(['BACKEND', 'OUTCOME', 'READ', 'TIME', 'PROBLEMS'], result.copies.map(row)),
        ...(result.heal ? [`Healing: ${result.heal} mends what is wrong from the good copies.`] : []),
        ...result.warnings.map((warning) => `Note: ${warning}`),
      ].join('\n'),
    exitCode: ({ passed }) => (passed ? EXIT_CODES.done : EXIT_CODES.failed),
  });
}

function isVerifyResult(detail: unknown): detail is VerifyResult {
  return typeof detail === 'object' && detail !== null && 'passed' in detail && 'copies' in detail;
}
