import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { codeOf } from '../errors.ts';

const runProgram = promisify(execFile);

/** Whether a process runs; one that has ended and only waits for its parent to notice does not. */
export async function isRunning(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false;
    if (codeOf(error) !== 'EPERM') throw error;
  }
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return !/\) [ZX] /.test(stat);
}

/**
 * When a process was started, in a form that only equality has a meaning for: together with the pid it names one
 * process for good, where a pid alone is given out again. Undefined when there is no such process.
 */
export async function startOf(pid: number): Promise<string | undefined> {
  if (!(await isRunning(pid))) return undefined;
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // proc(5): field 22 is the start time; the second field, the name in parentheses, may hold spaces.
  if (stat !== undefined) return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return (await runProgram('ps', ['-o', 'lstart=', '-p', String(pid)])).stdout.trim();
}
