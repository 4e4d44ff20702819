import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const HOLDFAST = fileURLToPath(new URL('../../holdfast', import.meta.url));

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  /** Added to PATH and HOME, which are all that the command gets otherwise. */
  readonly environment?: Readonly<Record<string, string>>;
  /** The program to start in place of ./holdfast. */
  readonly program?: string;
}

export interface RunningCommand {
  /** What it has written so far. */
  readonly output: { readonly stdout: string; readonly stderr: string };
  readonly ended: Promise<CommandResult>;
  signal(name: NodeJS.Signals): void;
}

/** Starts the real `./holdfast`, as a user without a terminal would. */
export function startHoldfast(args: readonly string[], options: CommandOptions = {}): RunningCommand {
  const child = spawn(options.program ?? HOLDFAST, args, {
    cwd: options.cwd,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const ended = new Promise<CommandResult>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...output }));
  });
  return { output, ended, signal: (name) => void child.kill(name) };
}

/** Runs the real `./holdfast` to its end. */
export function holdfast(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return startHoldfast(args, options).ended;
}

/** The same with its standard output in a file, which a shell opens. */
export async function holdfastInto(file: string, args: readonly string[]): Promise<Omit<CommandResult, 'stdout'>> {
  const command = ['-c', 'to=$1; shift; exec "$@" > "$to"', 'sh', file, HOLDFAST, ...args];
  const { code, stderr } = await holdfast(command, { program: '/bin/sh' });
  return { code, stderr };
}
