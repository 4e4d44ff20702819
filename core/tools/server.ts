import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, HoldfastError, messageOf, type ErrorType } from '../errors.ts';
import { isRunning } from '../process/runningProcess.ts';
import { findOnPath } from './programPath.ts';

/** An account of this machine that a server runs as. */
export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

export type StopSignal = 'SIGTERM' | 'SIGINT';

export interface ServerOptions {
  /** For messages, e.g. `PostgreSQL`. */
  readonly name: string;
  readonly command: string;
  /** Visible to every user of the machine: no secret may stand here. */
  readonly args: readonly string[];
  /** Added to the bare environment (PATH and a C locale). */
  readonly environment?: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** Takes standard output and standard error; what an earlier run wrote stays. */
  readonly logFile: string;
  readonly user?: SystemUser | undefined;
  /** The signal that asks for an orderly end. */
  readonly stopSignal: StopSignal;
  /** Leave it running when this process ends; otherwise it ends with it, however it ends. */
  readonly keepRunning?: boolean | undefined;
  /** Asked again and again until it says yes. */
  readonly ready: () => Promise<boolean>;
  /** In milliseconds. */
  readonly readyTimeout: number;
  /** The type of the error when it does not come up. */
  readonly errorType: ErrorType;
}

export interface RunningServer {
  readonly pid: number;
  readonly stopSignal: StopSignal;
  /** Ends it and everything it started, and waits for that. Harmless when it has ended already. */
  close(): Promise<void>;
}

const READY_POLL = 50;
const STOP_GRACE = 10_000;
const STOP_POLL = 50;

/**
 * Starts a server in a process group of its own and waits until it answers. It is not left behind when this process
 * ends: at an orderly exit its group is signalled; when a signal ends this process the kernel signals it, where
 * `setpriv --pdeathsig` (util-linux) is installed. Without setpriv a kill -9, or another signal that this process does
 * not handle, leaves it running.
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { child, pid } = await spawnServer(options);
  const release = options.keepRunning ? () => undefined : endWithThisProcess(pid, options.stopSignal);
  const close = async () => {
    release();
    await stopServer(pid, options.stopSignal);
  };
  try {
    await waitUntilReady(child, options);
  } catch (error) {
    await close();
    throw error;
  }
  if (options.keepRunning) child.unref();
  return { pid, stopSignal: options.stopSignal, close };
}

/** Ends a server's process group: first as asked, after ten seconds by force. `pid` is that of the group's leader. */
export async function stopServer(pid: number, stopSignal: StopSignal): Promise<void> {
  signalGroup(pid, stopSignal);
  if (await hasEnded(pid, STOP_GRACE)) {
    // Whatever the server left behind in its group goes too.
    signalGroup(pid, 'SIGKILL');
    return;
  }
  signalGroup(pid, 'SIGKILL');
  await hasEnded(pid, STOP_GRACE);
}

async function spawnServer(options: ServerOptions): Promise<{ child: ChildProcess; pid: number }> {
  const log = await open(options.logFile, 'a', 0o600);
  try {
    const setpriv = options.keepRunning ? undefined : await findOnPath('setpriv', process.env);
    const guard = setpriv ? [setpriv, '--pdeathsig', options.stopSignal.slice(3), '--'] : [];
    const [command = options.command, ...args] = [...guard, options.command, ...options.args];
    const child = spawn(command, args, {
      detached: true,
      cwd: options.workingDirectory,
      env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8', ...options.environment },
      stdio: ['ignore', log.fd, log.fd],
      ...(options.user ? { uid: options.user.uid, gid: options.user.gid } : {}),
    });
    await once(child, 'spawn');
    if (child.pid === undefined) throw new TypeError('a process that was spawned has a pid');
    return { child, pid: child.pid };
  } catch (cause) {
    throw new HoldfastError('ToolMissing', `${options.name} could not be started: ${messageOf(cause)}`, {
      advice: `Check that ${options.command} exists and may be run, and that ${options.logFile} can be written.`,
      cause,
    });
  } finally {
    await log.close();
  }
}

async function waitUntilReady(child: ChildProcess, options: ServerOptions): Promise<void> {
  const deadline = Date.now() + options.readyTimeout;
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) throw await notReady(options, 'ended at its start');
    if (await options.ready()) return;
    if (Date.now() > deadline) {
      throw await notReady(options, `did not answer within ${Math.round(options.readyTimeout / 1000)} s`);
    }
    await sleep(READY_POLL);
  }
}

async function notReady(options: ServerOptions, what: string): Promise<HoldfastError> {
  const log = await readFile(options.logFile, 'utf8').catch(() => '');
  const tail = log.trim().split('\n').slice(-10).join('\n');
  return new HoldfastError(options.errorType, `${options.name} ${what}${tail === '' ? '' : `:\n${tail}`}`, {
    advice: `Its log is ${options.logFile}.`,
  });
}

function endWithThisProcess(pid: number, stopSignal: NodeJS.Signals): () => void {
  const end = () => signalGroup(pid, stopSignal);
  process.on('exit', end);
  return () => process.off('exit', end);
}

async function hasEnded(pid: number, timeout: number): Promise<boolean> {
  const deadline = Date.now() + timeout;
  while (await isRunning(pid)) {
    if (Date.now() > deadline) return false;
    await sleep(STOP_POLL);
  }
  return true;
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}
