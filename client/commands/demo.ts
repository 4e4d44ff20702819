import type { Command } from 'commander';
import { addExamples } from '../examples.ts';
import type { Terminal } from '../terminal.ts';

interface DemoFlags {
  readonly directory: string;
  readonly keep?: true;
  readonly stop?: true;
}

export function addDemoCommand(program: Command, terminal: Terminal): void {
  const demo = program
    .command('demo')
    .description('watch a whole application being backed up, proven and recovered on this machine')
    .option('--directory <path>', 'where everything of the demo lives', '.holdfast/demo')
    .option('--keep', 'leave the servers running to be looked at')
    .option('--stop', 'end what an earlier --keep left running');
  addExamples(demo, [
    ['holdfast demo', 'PostgreSQL, Temporal and two S3 buckets of its own; ends them at the end'],
    ['holdfast demo --keep', "leave everything running, Temporal's Web UI included"],
    ['holdfast demo --stop', 'end it'],
  ]).action(
    terminal.action(async (flags: DemoFlags) => {
      if (flags.stop) {
        const { stopDemo } = await import('../demo/stopDemo.ts');
        return stopDemo(flags.directory, terminal);
      }
      const { runDemo } = await import('../demo/runDemo.ts');
      return runDemo({ directory: flags.directory, keepRunning: flags.keep === true }, terminal);
    }),
  );
}
