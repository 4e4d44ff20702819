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

/** Runs the real `./holdfast` to its end, as a user without a terminal would. */
export async function holdfast(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const child = spawn(options.program ?? HOLDFAST, args, {
    cwd: options.cwd,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...output }));
  });
}
