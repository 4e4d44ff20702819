import { PARALLEL, PIPE, PLAIN } from './contenders.ts';
import { HOLDFAST, holdfastName } from './holdfastContenders.ts';
import type { Measurement } from './measure.ts';
import {
  atLeast,
  atMost,
  cpuText,
  fixed,
  middle,
  priceOf,
  ratio,
  table,
  verdictTable,
  type Verdict,
} from './reportTable.ts';

const MIB = 2 ** 20;

/** Both tables as Markdown: what was measured, and how it stands against the targets. */
export function createReport(measurements: readonly Measurement[], databaseBytes: number): string {
  const idle = idleMemory(measurements);
  return [
    table(
      ['contender', 'median s', 'all s', 'MB/s of database', 'stored MB', 'verify s', 'memory over idle MiB', 'CPU s'],
      measurements.map((each) => measurementRow(each, databaseBytes, idle)),
    ),
    verdictTable(judge(measurements, idle)),
  ].join('\n\n');
}

function measurementRow(measurement: Measurement, databaseBytes: number, idle: number): string[] {
  const { name, samples, failure } = measurement;
  if (failure !== undefined) return [name, 'failed', failure.replaceAll(/\s+/g, ' ').slice(0, 200), '', '', '', '', ''];
  const seconds = middle(measurement, (sample) => sample.seconds);
  const stored = middle(measurement, (sample) => sample.storedBytes);
  const memory = middle(measurement, (sample) => sample.memory && sample.memory.peak - idle);
  return [
    name,
    fixed(seconds, 2),
    samples.map((sample) => fixed(sample.seconds, 2)).join(' '),
    name === holdfastName(HOLDFAST.empty) ? '' : fixed(seconds && databaseBytes / seconds / 1e6, 0),
    fixed(stored && stored / 1e6, 1),
    fixed(
      middle(measurement, (sample) => sample.verifySeconds),
      2,
    ),
    fixed(memory && memory / MIB, 0),
    cpuText(measurement),
  ];
}

function memoryOf(measurements: readonly Measurement[]) {
  return measurements.flatMap(({ samples }) => samples.flatMap(({ memory }) => memory ?? []));
}

/** The worker's size at rest: the smallest that was seen between two runs, so that what a run leaves behind counts too. */
function idleMemory(measurements: readonly Measurement[]): number {
  return Math.min(...memoryOf(measurements).map(({ before }) => before));
}

function judge(measurements: readonly Measurement[], idle: number): Verdict[] {
  const find = (name: string) => measurements.find((each) => each.name === name && each.samples.length > 0);
  const seconds = (name: string) => middle(find(name), (sample) => sample.seconds);
  /** Without the read-back, which the other side does not do. */
  const written = (name: string) => middle(find(name), (sample) => sample.seconds - (sample.verifySeconds ?? 0));
  const three = holdfastName(HOLDFAST.three);
  const parallel = holdfastName(HOLDFAST.oneParallel);
  const verify = middle(find(three), (sample) => sample.verifySeconds);
  const memory = Math.max(...memoryOf(measurements).map(({ peak }) => peak - idle));
  const empty = seconds(holdfastName(HOLDFAST.empty));
  /** What a copy that cannot be made costs at the end of the run is patience, and configured. */
  const copied = (plan: keyof typeof HOLDFAST) =>
    middle(find(holdfastName(HOLDFAST[plan])), (sample) => sample.copySeconds);
  const price = (plan: keyof typeof HOLDFAST) => ratio(written(three), written(holdfastName(HOLDFAST[plan])));
  return [
    atMost('backup to 3 backends against the pipe, wall <= 1.10 x', ratio(written(three), seconds(PIPE)), 1.1),
    atLeast('the same against pg_dump -Fc, >= 2.5 x faster', ratio(seconds(PLAIN), written(three)), 2.5),
    atMost('verification on top, <= 0.5 x of the backup', ratio(verify, written(three)), 0.5),
    atMost('3 backends against 1, wall <= 1.1 x', ratio(written(three), written(holdfastName(HOLDFAST.one))), 1.1),
    atMost(
      'copies on 2 backends with a third one down against without it, wall <= 1.1 x',
      ratio(copied('twoOneDown'), copied('two')),
      1.1,
    ),
    atMost('worker memory over idle, <= 150 MiB', Number.isFinite(memory) ? memory / MIB : undefined, 150, 'MiB'),
    atMost('jobs 2 against pg_dump -Fd -j 2 -Z1, wall <= 1.1 x', ratio(written(parallel), seconds(PARALLEL)), 1.1),
    atMost('an empty database, 3 backends, verified, <= 3 s', empty, 3, 's'),
    priceOf('price of fingerprints against no inventory', price('threeOff')),
    priceOf('price of fingerprints against counts', price('threeCounts')),
    priceOf('with verification against the pipe', ratio(seconds(three), seconds(PIPE))),
  ];
}
