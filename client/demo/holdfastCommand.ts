import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { HoldfastError } from '../../core/errors.ts';
import { readProcess } from '../../core/process/childProcess.ts';

/** The program itself: the demo runs the same commands that a person would type. */
export const HOLDFAST = fileURLToPath(new URL('../../holdfast', import.meta.url));

/**
 * Runs a command with this terminal's streams, so that its progress and tables are seen as they are; where standard
 * output is for one JSON document, they go to standard error. Rejects with `DumpFailed` when it does not end with 0.
 */
export async function showCommand(
  args: readonly string[],
  { signal, json }: { readonly signal: AbortSignal; readonly json: boolean },
): Promise<void> {
  const child = spawn(HOLDFAST, args, { stdio: ['ignore', json ? process.stderr : 'inherit', 'inherit'] });
  // Ctrl-C reaches the whole foreground group by itself; a second one would end the command at once.
  const pass = () => process.stdin.isTTY || child.kill('SIGINT');
  signal.addEventListener('abort', pass, { once: true });
  const [code] = (await once(child, 'exit')) as [number | null];
  signal.removeEventListener('abort', pass);
  signal.throwIfAborted();
  if (code !== 0) throw notDone(args, code);
}

/** Runs a command with --json and gives its document. */
export async function askCommand(args: readonly string[], signal: AbortSignal): Promise<unknown> {
  return JSON.parse(await readProcess({ command: HOLDFAST, args: [...args, '--json'], signal }));
}

function notDone(args: readonly string[], code: number | null): HoldfastError {
  return new HoldfastError('DumpFailed', `\`holdfast ${args.join(' ')}\` ended with exit code ${code}`, {
    advice: 'What it printed above says why.',
  });
}
