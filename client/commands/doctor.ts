import type { Command } from 'commander';
import { addExamples } from '../examples.ts';
import { EXIT_CODES, type ExitCode, type Style, type Terminal } from '../terminal.ts';

export function addDoctorCommand(program: Command, terminal: Terminal): void {
  const doctor = program
    .command('doctor')
    .description('check everything Holdfast needs: Temporal, catalog, backends, sources, keys, spool, programs')
    .option('--timeout <seconds>', 'give up on a check after so long', Number, 15);
  addExamples(doctor, [['holdfast doctor', 'what is well, what is not, and what to do about it']]);
  doctor.action(terminal.action((options: { timeout: number }) => run(doctor, terminal, options.timeout * 1_000)));
}

const STYLES: Readonly<Record<string, Style>> = { ok: 'green', warning: 'yellow', failure: 'red' };

async function run(command: Command, terminal: Terminal, timeout: number): Promise<ExitCode> {
  const { loadFor } = await import('../configuration.ts');
  const { examine } = await import('../doctor/examine.ts');
  const { configuration } = await loadFor(command, terminal);
  const findings = await examine(configuration, timeout, process.env);
  const failed = findings.some((finding) => finding.state === 'failure');
  terminal.answer({ healthy: !failed, findings }, () => {
    const rows = findings.map(({ state, subject, message, advice }) => [
      terminal.paint(STYLES[state] ?? 'reset', state),
      subject,
      advice === undefined ? message : `${message}\n→ ${advice}`,
    ]);
    const counts = (['ok', 'warning', 'failure'] as const).map(
      (state) => `${findings.filter((finding) => finding.state === state).length} ${state}`,
    );
    return [terminal.table(['', 'WHAT', 'FINDING'], rows), '', counts.join(', ')].join('\n');
  });
  return failed ? EXIT_CODES.failed : EXIT_CODES.done;
}
