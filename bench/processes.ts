import { readdir, readFile, writeFile } from 'node:fs/promises';

/** CPU time and memory of processes, read from Linux's /proc (proc(5)). */

/** USER_HZ, which is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

interface ProcessTimes {
  readonly parent: number;
  /** Seconds of the process itself. */
  readonly own: number;
  /** Seconds of children that have ended and were waited for, with theirs. */
  readonly ended: number;
}

/** What to count: a process alone, what it started and waited for, or it with all it started. */
export interface CpuCounter {
  readonly name: string;
  readonly pid: number;
  readonly what: 'own' | 'ended' | 'tree';
}

/** CPU seconds so far, by the counters' names. */
export async function cpuTimes(counters: readonly CpuCounter[]): Promise<Record<string, number>> {
  const all = await allProcesses();
  const times: Record<string, number> = {};
  for (const { name, pid, what } of counters) {
    const { own = 0, ended = 0 } = all.get(pid) ?? {};
    times[name] = (what === 'ended' ? 0 : own) + (what === 'own' ? 0 : ended);
    if (what === 'tree') times[name] += livingChildren(all, pid);
  }
  return times;
}

function livingChildren(all: ReadonlyMap<number, ProcessTimes>, pid: number): number {
  let seconds = 0;
  for (const [child, times] of all)
    if (times.parent === pid) seconds += times.own + times.ended + livingChildren(all, child);
  return seconds;
}

async function allProcesses(): Promise<Map<number, ProcessTimes>> {
  const all = new Map<number, ProcessTimes>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    // A process may end between the listing and the look at it.
    const text = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => undefined);
    if (text === undefined) continue;
    // The program's name, in brackets, may hold anything; the fields behind it do not.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const seconds = (first: number) => (Number(fields[first]) + Number(fields[first + 1])) / TICKS_PER_SECOND;
    all.set(Number(name), { parent: Number(fields[1]), own: seconds(11), ended: seconds(13) });
  }
  return all;
}

/** Resident memory in bytes, now and at its peak since `resetPeakMemory`. */
export async function residentMemory(pid: number): Promise<{ now: number; peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  const kilobytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
  return { now: kilobytes('VmRSS') * 1024, peak: kilobytes('VmHWM') * 1024 };
}

export async function resetPeakMemory(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}
