import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { HoldfastError } from '../core/errors.ts';
import { addBackupCommand } from './commands/backup.ts';
import { addConfigCommand } from './commands/config.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addDrillCommand } from './commands/drill.ts';
import { addExtractCommand } from './commands/extract.ts';
import { addHealCommand } from './commands/heal.ts';
import { addListCommand } from './commands/list.ts';
import { addRecoverCommand } from './commands/recover.ts';
import { addRestoreCommand } from './commands/restore.ts';
import { addSchedulesCommand } from './commands/schedules.ts';
import { addShowCommand } from './commands/show.ts';
import { addDemoCommand } from './commands/demo.ts';
import { addInitCommand } from './commands/init.ts';
import { addKeysCommand } from './commands/keys.ts';
import { addStorageCommand } from './commands/storage.ts';
import { addSweepCommand } from './commands/sweep.ts';
import { addVerifyCommand } from './commands/verify.ts';
import { addWorkerCommand } from './commands/worker.ts';
import { addExamples } from './examples.ts';
import { flushed, outputLost, standardOutput } from './standardOutput.ts';
import { createTerminal, EXIT_CODES, type ExitCode, type OutputStream, type Terminal } from './terminal.ts';

/**
 * The command line. A command is one file in commands/ that adds itself to the program; what is slow to load is imported
 * inside its action, so that help and wrong usage answer at once.
 */
export function buildProgram(terminal: Terminal): Command {
  const program = new Command('holdfast')
    .description('Backs up PostgreSQL applications to several storages at once and proves every copy.')
    .version(versionOfPackage(), '-V, --version', 'print the version')
    .option('-c, --config <file>', 'configuration file (default: $HOLDFAST_CONFIG, else ./holdfast.yaml)')
    .option('--json', 'one JSON document on standard output, nothing else')
    .option('-v, --verbose', 'show stack traces and details')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true, sortOptions: false })
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      // Usage errors are thrown and reported like all others, in `run`.
      outputError: () => undefined,
    })
    .exitOverride();
  addExamples(program, [
    ['holdfast init', 'write a first holdfast.yaml and its keys'],
    ['holdfast config check', 'find every mistake in it'],
  ]);
  addInitCommand(program, terminal);
  addConfigCommand(program, terminal);
  addKeysCommand(program, terminal);
  addDoctorCommand(program, terminal);
  addListCommand(program, terminal);
  addShowCommand(program, terminal);
  addExtractCommand(program, terminal);
  addRecoverCommand(program, terminal);
  addDemoCommand(program, terminal);
  addWorkerCommand(program, terminal);
  addBackupCommand(program, terminal);
  addVerifyCommand(program, terminal);
  addDrillCommand(program, terminal);
  addRestoreCommand(program, terminal);
  addSweepCommand(program, terminal);
  addStorageCommand(program, terminal);
  addHealCommand(program, terminal);
  addSchedulesCommand(program, terminal);
  return program;
}

/** Runs one command line to its end; never rejects. Gives the exit code. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const program = buildProgram(terminal);
  try {
    await program.parseAsync(args, { from: 'user' });
    return terminal.exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) return terminal.fail(error);
    return error.exitCode === 0 ? EXIT_CODES.done : terminal.fail(usageError(error, program, args));
  }
}

/** The process: streams, signals and the exit code around `run`. */
export async function main(args: readonly string[]): Promise<void> {
  const interrupt = new AbortController();
  const terminal = createTerminal({
    stdout: standardOutput(),
    stderr: process.stderr,
    json: hasFlag(args, '--json'),
    verbose: hasFlag(args, '--verbose', '-v'),
    interrupted: interrupt.signal,
  });
  terminal.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // A reader that has seen enough (`| head`) is no error.
    if (error.code === 'EPIPE') process.exit(terminal.exitCode);
    if (isHungUp(error, terminal.stdout)) return;
    // How the command ends is known only when it has ended.
    terminal.lostOutput ??= error;
  });
  // Words that cannot be said on standard error cannot be missed there either.
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') throw error;
  });
  listenForSignals(interrupt, terminal);
  const exitCode = await run(args, terminal);
  await flushed(terminal.stdout);
  const lost = terminal.lostOutput;
  process.exit(lost ? terminal.endWithout(outputLost(lost), exitCode) : exitCode);
}

/** A terminal that is gone takes no more words; what is to be cleaned up is cleaned up without them. */
function isHungUp(error: NodeJS.ErrnoException, { isTTY }: OutputStream): boolean {
  return error.code === 'EIO' && isTTY === true;
}

/** The first signal, a terminal's hanging up too, goes to a command that waits for one; otherwise, and from the second on, the process ends. */
export function listenForSignals(interrupt: AbortController, terminal: Terminal): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      const reason = new HoldfastError('Cancelled', `interrupted by ${signal}`);
      if (terminal.awaitsInterruption && !interrupt.signal.aborted) interrupt.abort(reason);
      else process.exit(terminal.fail(reason));
    });
  }
}

/** Looked for before parsing, because parsing itself may fail and must then answer in the right form. */
function hasFlag(args: readonly string[], ...names: string[]): boolean {
  const end = args.indexOf('--');
  return args.slice(0, end === -1 ? undefined : end).some((argument) => names.includes(argument));
}

/** Commander's message without its prefix; its "Did you mean" becomes the advice. */
function usageError(error: CommanderError, program: Command, args: readonly string[]): HoldfastError {
  if (error.code === 'commander.help') {
    return new HoldfastError('InvalidInput', 'no command was given', { advice: 'Choose one of the commands above.' });
  }
  const [first = '', suggestion] = error.message.split('\n');
  const help = `Run \`${pathOf(program, args)} --help\` for its usage.`;
  const meant = suggestion === undefined ? '' : `${suggestion.replace(/^\(|\)$/g, '')} `;
  return new HoldfastError('InvalidInput', first.replace(/^error: /, ''), { advice: `${meant}${help}` });
}

/** The command that the arguments reached, e.g. `holdfast keys prove`. */
function pathOf(program: Command, args: readonly string[]): string {
  const names = ['holdfast'];
  let command = program;
  for (const argument of args) {
    const next = command.commands.find((candidate) => candidate.name() === argument);
    if (next === undefined) continue;
    names.push(argument);
    command = next;
  }
  return names.join(' ');
}

function versionOfPackage(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return (manifest as { version: string }).version;
}
