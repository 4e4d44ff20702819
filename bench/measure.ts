import { spawn } from 'node:child_process';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuTimes, type CpuCounter } from './processes.ts';

/** One run of one contender. */
export interface Sample {
  readonly seconds: number;
  /** What it stored, in bytes, once (not per backend). */
  readonly storedBytes?: number;
  /** CPU seconds by process. */
  readonly cpu: Readonly<Record<string, number>>;
  /** Holdfast's backups only: from the beginning of the dump until the last copy that there is was proven. */
  readonly copySeconds?: number;
  /** Holdfast only: seconds of `seconds` in which copies were read back, or what was restored was reconciled. */
  readonly verifySeconds?: number;
  /** Holdfast's restores only: seconds of each phase. */
  readonly phaseSeconds?: Readonly<Record<string, number>>;
  /** Holdfast only: its process's resident memory in bytes, just before the run and at its highest during it. */
  readonly memory?: { readonly before: number; readonly peak: number };
}

export interface Contender {
  readonly name: string;
  /** Runs once; `directory` is empty and goes away afterwards. */
  run(directory: string): Promise<Sample>;
}

export interface Measurement {
  readonly name: string;
  readonly samples: readonly Sample[];
  /** Why it could not be run, where it could not. */
  readonly failure?: string;
}

/** Runs all contenders once, then all again, and so on: what else the machine does meets them alike. */
export async function measureInTurn(
  contenders: readonly Contender[],
  runs: number,
  directory: string,
  say: (line: string) => void,
): Promise<Measurement[]> {
  const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]));
  const failures = new Map<string, string>();
  for (let run = 1; run <= runs; run++) {
    for (const contender of contenders.filter(({ name }) => !failures.has(name))) {
      const { name } = contender;
      await rm(directory, { recursive: true, force: true });
      await mkdir(directory, { recursive: true });
      try {
        const sample = await contender.run(directory);
        samples.get(name)?.push(sample);
        say(`${run}/${runs} ${name}: ${sample.seconds.toFixed(2)} s`);
      } catch (error) {
        failures.set(name, error instanceof Error ? error.message : String(error));
        say(`${run}/${runs} ${name}: failed: ${failures.get(name)}`);
      }
    }
  }
  await rm(directory, { recursive: true, force: true });
  return [...samples].map(([name, taken]) => {
    const failure = failures.get(name);
    return { name, samples: taken, ...(failure === undefined ? {} : { failure }) };
  });
}

/** Runs a bash script to its end; rejects with what it wrote to standard error when any of its programs fails. */
export async function runScript(
  script: string,
  environment: Readonly<Record<string, string>>,
): Promise<{ seconds: number; output: string }> {
  const began = process.hrtime.bigint();
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [output, errors] = [textOf(child.stdout), textOf(child.stderr)];
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  if (code !== 0) throw new Error(`exit code ${code}: ${(await errors).slice(-500)}${(await output).slice(-500)}`);
  return { seconds, output: await output };
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

/** In milliseconds: until servers have noticed that their clients are gone. */
const SETTLE = 200;

/** Takes the CPU seconds that some work costs, by the counters' names. */
export async function withCpuTimes<T>(
  counters: readonly CpuCounter[],
  work: () => Promise<T>,
): Promise<{ result: T; cpu: Record<string, number> }> {
  await sleep(SETTLE);
  const before = await cpuTimes(counters);
  const result = await work();
  await sleep(SETTLE);
  const after = await cpuTimes(counters);
  const cpu = Object.fromEntries(Object.entries(after).map(([name, seconds]) => [name, seconds - (before[name] ?? 0)]));
  return { result, cpu };
}

export async function bytesBelow(directory: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  return bytes;
}

export function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length / 2;
  if (sorted.length === 0) return undefined;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)] : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
