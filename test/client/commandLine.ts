import { PassThrough } from 'node:stream';
import { run } from '../../client/main.ts';
import { createTerminal } from '../../client/terminal.ts';
import { gather } from '../core/seal/sealing.ts';

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly bytes: Buffer;
}

/** Runs one command line within this process, with streams of its own. */
export async function holdfast(...args: string[]): Promise<CommandResult> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const terminal = createTerminal({
    stdout,
    stderr,
    json: args.includes('--json'),
    verbose: false,
    interrupted: new AbortController().signal,
  });
  const output = Promise.all([gather(stdout), gather(stderr)]);
  const exitCode = await run(args, terminal);
  stdout.end();
  stderr.end();
  const [bytes, errors] = await output;
  return { exitCode, bytes, stdout: bytes.toString('utf8'), stderr: errors.toString('utf8') };
}
