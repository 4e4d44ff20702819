import type { Command } from 'commander';
import { loadFor } from '../configuration.ts';
import { addExamples } from '../examples.ts';
import { EXIT_CODES, type Terminal } from '../terminal.ts';

interface WorkerFlags {
  readonly embedded?: true;
  readonly state?: string;
}

export function addWorkerCommand(program: Command, terminal: Terminal): void {
  const worker = program
    .command('worker')
    .description('run the worker: the process that does the backups')
    .option('--embedded', "bring Temporal's development server and Web UI along, in this one command")
    .option('--state <directory>', 'where the embedded server keeps its runs (default: temporal, beside the spool)');
  addExamples(worker, [
    ['holdfast worker', 'work for the Temporal server of the configuration'],
    ['holdfast worker --embedded', 'everything in one go, for one machine'],
  ]);
  worker.action(terminal.action((flags: WorkerFlags) => startWorker(worker, flags, terminal)));
}

async function startWorker(command: Command, flags: WorkerFlags, terminal: Terminal) {
  const { configuration } = await loadFor(command, terminal);
  const signal = terminal.interruption();
  const [{ default: pino }, { runWorker }] = await Promise.all([import('pino'), import('../../worker/run.ts')]);
  const log = pino({ level: terminal.verbose ? 'debug' : 'info' }, pino.destination({ fd: 2, sync: true }));
  const run = (settings: typeof configuration, uiUrl?: string) =>
    runWorker({
      configuration: settings,
      log,
      signal,
      onReady: (ready) => {
        const ui = uiUrl === undefined ? '' : `, Web UI at ${uiUrl}`;
        terminal.answer(
          { ready: true, ...ready, ...(uiUrl && { uiUrl }) },
          () => `Worker ready on ${ready.address}, task queue ${ready.taskQueue}${ui}. Ctrl-C ends it.`,
        );
      },
    });
  if (flags.embedded) {
    const { withEmbeddedServer } = await import('../../worker/embedded.ts');
    await withEmbeddedServer(
      { configuration, stateDirectory: flags.state, say: (text) => terminal.note(text) },
      (embedded) => run(embedded.configuration, embedded.uiUrl),
    );
  } else {
    await run(configuration);
  }
  terminal.note('The worker has ended; what it was doing waits for the next one.');
  return EXIT_CODES.done;
}
