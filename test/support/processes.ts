import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../../core/errors.ts';

/** A running process as everybody (arguments) and its own user (environment) can see it; Linux's /proc. */
export interface SeenProcess {
  readonly pid: number;
  readonly name: string;
  readonly arguments: string;
  readonly environment: string;
}

/**
 * Every process that a process started, and those that these started. One that has been forked and not yet become
 * another program is still its parent's likeness, and left out.
 */
export async function descendantsOf(ancestor: number): Promise<SeenProcess[]> {
  const parents = new Map<number, number>();
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  for (const pid of pids) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    parents.set(pid, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0));
  }
  const descends = (pid: number): boolean => {
    const parent = parents.get(pid) ?? 0;
    return parent === ancestor || (parent > 1 && descends(parent));
  };
  const [origin, ...seen] = await Promise.all([ancestor, ...pids.filter(descends)].map(look));
  return seen.filter((each) => each.arguments !== '' && each.arguments !== origin?.arguments);
}

async function look(pid: number): Promise<SeenProcess> {
  const read = (name: string) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '');
  const [name, commandLine, environment] = await Promise.all([read('comm'), read('cmdline'), read('environ')]);
  return {
    pid,
    name: name.trim(),
    arguments: commandLine.replaceAll('\0', ' '),
    environment: environment.replaceAll('\0', '\n'),
  };
}

/** Asks every few milliseconds until the answer is not undefined. */
export async function until<Answer>(
  what: string,
  ask: () => Promise<Answer | undefined>,
  timeout = 60_000,
): Promise<Answer> {
  const deadline = Date.now() + timeout;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new Error(`${what}: not seen within ${timeout} ms`);
    await sleep(5);
  }
}

/** Processes that were halted by SIGSTOP, to be sent something else. */
export interface HaltedProcesses {
  readonly pids: readonly number[];
  signal(name: NodeJS.Signals): void;
}

/** Halts every pg_dump that reads rows for a worker, at the first moment that `when` holds. SIGCONT lets them go on. */
export async function haltDumps(
  worker: { readonly pid: number },
  when: () => Promise<boolean>,
): Promise<HaltedProcesses> {
  return until('the moment to halt pg_dump', async () => {
    const pids = (await descendantsOf(worker.pid)).filter(readsRows).map(({ pid }) => pid);
    signalAll(pids, 'SIGSTOP');
    if (pids.length > 0 && (await when())) {
      return { pids, signal: (name) => signalAll(pids, name) };
    }
    // In small steps, or on a fast machine they would be through before they are seen.
    signalAll(pids, 'SIGCONT');
    return undefined;
  });
}

/** Halts every pg_restore that loads rows for a worker, as soon as there is one. SIGCONT lets them go on. */
export async function haltRestores(worker: { readonly pid: number }): Promise<HaltedProcesses> {
  return until('a pg_restore that loads rows', async () => {
    const pids = (await descendantsOf(worker.pid)).filter(loadsRows).map(({ pid }) => pid);
    signalAll(pids, 'SIGSTOP');
    return pids.length > 0 ? { pids, signal: (name) => signalAll(pids, name) } : undefined;
  });
}

function signalAll(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if (codeOf(error) !== 'ESRCH') throw error;
    }
  }
}

function loadsRows({ name, arguments: args }: SeenProcess): boolean {
  return name === 'pg_restore' && args.includes('--section=data');
}

function readsRows({ name, arguments: args }: SeenProcess): boolean {
  return name === 'pg_dump' && args.includes('--snapshot') && !args.includes('--section');
}
