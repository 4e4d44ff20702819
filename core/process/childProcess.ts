import { spawn, type ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { codeOf, HoldfastError } from '../errors.ts';
import { openOutputRing } from './outputRing.ts';

export interface ChildProcessOptions {
  readonly command: string;
  /** Visible to every user of the machine: no secret may stand here. */
  readonly args: readonly string[];
  /** Added to the bare environment (PATH and a C locale); the parent's own environment is not handed on. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly workingDirectory?: string;
  /** Another account to run as; only root may ask for that. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** Written to the process's standard input, which is closed otherwise. */
  readonly input?: Readable;
  /** Exit codes that count as success beside 0, e.g. tar's 1 for "file changed as we read it". */
  readonly acceptedExitCodes?: readonly number[];
  /** Ends the process when it hands out no byte for so many milliseconds while somebody waits for one. */
  readonly stallTimeout?: number;
  readonly signal?: AbortSignal;
  /** Called with every complete line of standard error. */
  readonly onErrorLine?: (line: string) => void;
}

export interface RunningProcess {
  readonly pid: number | undefined;
  /** Attach a reader before the next turn of the event loop: Node drops what nobody reads when the process exits. */
  readonly stdout: Readable;
  /** Resolves with the exit code once the process ended well and its output was read to the end; rejects otherwise. */
  readonly finished: Promise<number>;
}

const GRACE_BEFORE_KILL = 5_000;
const STALL_CHECK_INTERVAL = 1_000;
const STDERR_TAIL_LINES = 20;

/** As RunningProcess, for output by the gigabyte. */
export interface RunningProducer {
  /** Read it once. A chunk is good until the next one is asked for: who keeps it longer copies it. */
  readonly output: AsyncGenerator<Buffer, void, undefined>;
  /** Whether the program has written anything yet. */
  readonly hasBegun: () => boolean;
  /** Resolves with the exit code once the process ended well and its output was read to the end; rejects otherwise. */
  readonly finished: Promise<number>;
  /** Resolves when the process is gone, however it ended. */
  readonly gone: Promise<void>;
}

/**
 * Starts a program in a process group of its own, so that Ctrl-C in the terminal does not reach it and all it starts
 * can be ended together.
 */
export function startProcess(options: ChildProcessOptions): RunningProcess {
  options.signal?.throwIfAborted();
  const child = spawnGroup(options, 'pipe');
  const { stdout } = child;
  if (!stdout) throw new TypeError('stdout is always a pipe here');
  const finished = supervise(child, options, {
    arrived: () => (stdout as Readable & { bytesRead?: number }).bytesRead ?? 0,
    unread: () => stdout.readableLength,
    // Nobody reads on after this; draining lets the process's end arrive.
    stop: () => void stdout.resume(),
  });
  return { pid: child.pid, stdout, finished };
}

/**
 * Starts a program whose output is large, the same way. Its output waits for its reader, however late he comes. Rejects
 * with the signal's reason.
 */
export async function startProducer(options: ChildProcessOptions): Promise<RunningProducer> {
  const ring = await openOutputRing();
  try {
    options.signal?.throwIfAborted();
    const child = spawnGroup(options, ring.childEnd);
    const stop = () => ring.stop(options.signal?.reason);
    const ended = supervise(child, options, { ...ring, stop });
    // Nobody reads on what a program that failed still has to say.
    ended.catch((error: unknown) => ring.stop(error));
    // The program may be gone by then, and its output still wait for a reader.
    options.signal?.addEventListener('abort', stop, { once: true });
    const finished = ended.then(async (code) => {
      await ring.drained;
      return code;
    });
    finished.catch(() => undefined);
    const gone = ended.then(
      () => undefined,
      () => undefined,
    );
    return { output: ring.chunks, hasBegun: () => ring.arrived() > 0, finished, gone };
  } catch (error) {
    ring.stop(error);
    throw error;
  } finally {
    // The program holds it now; as long as it is open here too the output has no end.
    ring.childEnd.destroy();
  }
}

/** Runs a program to its end and gives its whole standard output as text. For small outputs only. */
export async function readProcess(options: ChildProcessOptions): Promise<string> {
  const { stdout, finished } = startProcess(options);
  const chunks: Buffer[] = [];
  for await (const chunk of stdout) chunks.push(chunk as Buffer);
  await finished;
  return Buffer.concat(chunks).toString('utf8');
}

function spawnGroup(options: ChildProcessOptions, output: 'pipe' | Socket): ChildProcess {
  const child = spawn(options.command, options.args, {
    detached: true,
    cwd: options.workingDirectory,
    env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', ...options.environment },
    stdio: [options.input ? 'pipe' : 'ignore', output, 'pipe'],
    ...(options.user ? { uid: options.user.uid, gid: options.user.gid } : {}),
  });
  if (options.input && child.stdin) feed(options.input, child.stdin);
  return child;
}

/** What the supervision of a process has to know of its output. */
interface WatchedOutput {
  /** Bytes that have come. */
  readonly arrived: () => number;
  /** Bytes that wait for the reader. */
  readonly unread: () => number;
  /** Called when the process is told to end. */
  readonly stop: () => void;
}

/** Resolves with the exit code of a process that ended well; ends it on an abort and on a stall. */
function supervise(child: ChildProcess, options: ChildProcessOptions, output: WatchedOutput): Promise<number> {
  const tail = collectErrorLines(child, options.onErrorLine);
  const ending = endOnAbortOrStall(child, options, output);
  const finished = new Promise<number>((resolve, reject) => {
    child.once('error', (cause) => {
      ending.release();
      reject(notStarted(options.command, cause));
    });
    child.once('close', (code, signalName) => {
      ending.release();
      const accepted = code !== null && [0, ...(options.acceptedExitCodes ?? [])].includes(code);
      if (options.signal?.aborted) reject(options.signal.reason);
      else if (ending.stalled()) reject(stalled(options));
      else if (accepted) resolve(code);
      else reject(failed(options.command, code, signalName, tail()));
    });
  });
  // The output's reader sees the failure first, as an early end; whoever awaits `finished` learns why.
  finished.catch(() => undefined);
  return finished;
}

function collectErrorLines(child: ChildProcess, onLine?: (line: string) => void): () => string[] {
  const tail: string[] = [];
  let rest = '';
  const take = (line: string) => {
    if (line === '') return;
    tail.push(cutMiddle(line));
    if (tail.length > STDERR_TAIL_LINES) tail.shift();
    onLine?.(line);
  };
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(line);
  });
  child.stderr?.once('end', () => take(rest));
  return () => tail;
}

/** A line may begin with a path of any length; what happened to it stands at the end. */
function cutMiddle(line: string): string {
  return line.length <= 500 ? line : `${line.slice(0, 300)}...${line.slice(-200)}`;
}

function endOnAbortOrStall(child: ChildProcess, options: ChildProcessOptions, output: WatchedOutput) {
  let stalledNow = false;
  let killTimer: NodeJS.Timeout | undefined;
  const end = () => {
    signalGroup(child, 'SIGTERM');
    killTimer = setTimeout(() => signalGroup(child, 'SIGKILL'), GRACE_BEFORE_KILL);
    output.stop();
  };
  options.signal?.addEventListener('abort', end, { once: true });
  const stallTimer =
    options.stallTimeout === undefined
      ? undefined
      : watchForStall(output, options.stallTimeout, () => {
          stalledNow = true;
          end();
        });
  return {
    stalled: () => stalledNow,
    release: () => {
      options.signal?.removeEventListener('abort', end);
      clearTimeout(killTimer);
      clearInterval(stallTimer);
    },
  };
}

/** A reader that is slower than the process is no stall: time counts only while nothing waits to be read. */
function watchForStall(output: WatchedOutput, timeout: number, onStall: () => void): NodeJS.Timeout {
  let lastBytes = 0;
  let lastProgress = Date.now();
  const timer = setInterval(
    () => {
      const bytes = output.arrived();
      if (bytes !== lastBytes || output.unread() > 0) {
        lastBytes = bytes;
        lastProgress = Date.now();
      } else if (Date.now() - lastProgress >= timeout) {
        clearInterval(timer);
        onStall();
      }
    },
    Math.min(STALL_CHECK_INTERVAL, timeout),
  );
  return timer;
}

function signalGroup(child: ChildProcess, signalName: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signalName);
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}

function feed(input: Readable, stdin: NodeJS.WritableStream): void {
  // A process that ends early closes its input; its exit code tells the story, not the broken pipe.
  stdin.on('error', () => input.destroy());
  input.on('error', () => stdin.end());
  input.pipe(stdin);
}

function notStarted(command: string, cause: Error): HoldfastError {
  const missing = codeOf(cause) === 'ENOENT';
  return new HoldfastError(
    'ToolMissing',
    missing ? `${command} is not installed` : `${command} could not be started: ${cause.message}`,
    {
      advice: `Install ${command} on this host or put it on PATH.`,
      cause,
    },
  );
}

function stalled(options: ChildProcessOptions): HoldfastError {
  return new HoldfastError(
    'Stalled',
    `${options.command} handed out no byte for ${Math.round((options.stallTimeout ?? 0) / 1000)} s and was ended`,
    { advice: 'Look for a lock wait or an overloaded disk at the source, or raise stallTimeout in the plan.' },
  );
}

function failed(
  command: string,
  code: number | null,
  signalName: NodeJS.Signals | null,
  tail: string[],
): HoldfastError {
  const how = signalName ? `was ended by ${signalName}` : `failed with exit code ${code}`;
  return new HoldfastError('DumpFailed', `${command} ${how}${tail.length > 0 ? `: ${tail.join('\n')}` : ''}`);
}
