import type { Command } from 'commander';
import { loadFor } from '../configuration.ts';
import { addExamples } from '../examples.ts';
import type { ScheduleReport } from '../schedules/report.ts';
import { EXIT_CODES, type ExitCode, type Terminal } from '../terminal.ts';

export function addSchedulesCommand(program: Command, terminal: Terminal): void {
  const schedules = program.command('schedules').description('what runs by itself, and when').helpCommand(false);
  addExamples(schedules, [['holdfast schedules list', 'what is to run, and when next']]);
  const apply = schedules
    .command('apply')
    .description('make the schedules in Temporal what the configuration says; one that was paused stays paused');
  addExamples(apply, [['holdfast schedules apply', 'after every change of the configuration']]);
  apply.action(terminal.action(() => run(apply, terminal, 'apply')));
  const list = schedules
    .command('list')
    .description('the schedules of the configuration, and those that Temporal has; exit code 3 where they differ');
  addExamples(list, [['holdfast schedules list', 'with the next time of each']]);
  list.action(terminal.action(() => run(list, terminal, 'list')));
}

async function run(command: Command, terminal: Terminal, what: 'apply' | 'list'): Promise<ExitCode> {
  const { configuration } = await loadFor(command, terminal);
  const [{ desiredSchedules }, { applySchedules, compareSchedules }, { describeSchedules }, { connectTemporal }] =
    await Promise.all([
      import('../schedules/desired.ts'),
      import('../schedules/apply.ts'),
      import('../schedules/report.ts'),
      import('../temporal.ts'),
    ]);
  const temporal = await connectTemporal(configuration);
  try {
    const { taskQueue } = configuration.temporal;
    const desired = desiredSchedules(configuration);
    const reports: ScheduleReport[] =
      what === 'apply'
        ? await applySchedules(temporal.client.schedule, taskQueue, desired)
        : await compareSchedules(temporal.client.schedule, taskQueue, desired);
    terminal.answer({ schedules: reports }, () => describeSchedules(reports, terminal));
    const differs = reports.some(({ state }) => ['missing', 'differs', 'surplus'].includes(state));
    return differs ? EXIT_CODES.degraded : EXIT_CODES.done;
  } finally {
    await temporal.close();
  }
}
