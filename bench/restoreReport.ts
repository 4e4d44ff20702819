import type { Measurement } from './measure.ts';
import { atMost, cpuText, fixed, middle, priceOf, ratio, table, verdictTable, type Verdict } from './reportTable.ts';
import { BY_HAND, restoreName, RESTORES } from './restoreContenders.ts';

const MIB = 2 ** 20;

/** Both tables of the restores as Markdown. What a restore takes is without its reconciliation, which by hand nobody makes. */
export function createRestoreReport(measurements: readonly Measurement[], databaseBytes: number): string {
  return [
    table(
      [
        'contender',
        'median s',
        'all s',
        'MB/s of database',
        'reconcile s',
        'phases s',
        'memory over idle MiB',
        'CPU s',
      ],
      measurements.map((each) => measurementRow(each, databaseBytes)),
    ),
    verdictTable(judge(measurements)),
  ].join('\n\n');
}

function measurementRow(measurement: Measurement, databaseBytes: number): string[] {
  const { name, samples, failure } = measurement;
  if (failure !== undefined) return [name, 'failed', failure.replaceAll(/\s+/g, ' ').slice(0, 200), '', '', '', '', ''];
  const seconds = restored(measurement);
  const memory = middle(measurement, (sample) => sample.memory && sample.memory.peak - sample.memory.before);
  return [
    name,
    fixed(seconds, 2),
    samples.map((sample) => fixed(sample.seconds - (sample.verifySeconds ?? 0), 2)).join(' '),
    fixed(seconds && databaseBytes / seconds / 1e6, 0),
    fixed(
      middle(measurement, (sample) => sample.verifySeconds),
      2,
    ),
    Object.keys(samples[0]?.phaseSeconds ?? {})
      .map((phase) => `${phase} ${fixed(phaseOf(measurement, phase), 1)}`)
      .join(', '),
    fixed(memory && memory / MIB, 0),
    cpuText(measurement),
  ];
}

function judge(measurements: readonly Measurement[]): Verdict[] {
  const find = (name: string) => measurements.find((each) => each.name === name && each.samples.length > 0);
  const against = (one: string, other: string) => ratio(restored(find(one)), restored(find(other)));
  const [one, parallel, fromS3] = [RESTORES.one, RESTORES.parallel, RESTORES.parallelS3].map(restoreName) as [
    string,
    string,
    string,
  ];
  const whole = middle(find(parallel), (sample) => sample.seconds);
  const taken = restored(find(parallel));
  const statistics = phaseOf(find(parallel), 'statistics');
  return [
    atMost('jobs 2 against zstd -d and pg_restore -j 2, wall <= 1.10 x', against(parallel, BY_HAND.parallel), 1.1),
    atMost('one stream against zstd -dc | pg_restore, wall <= 1.10 x', against(one, BY_HAND.pipe), 1.1),
    atMost(
      'jobs 2 from S3 on this machine against zstd -d and pg_restore -j 2, wall <= 1.2 x',
      against(fromS3, BY_HAND.parallel),
      1.2,
    ),
    priceOf('of it, statistics, which by hand nobody takes', taken && statistics && taken / (taken - statistics)),
    priceOf('reconciliation on top', ratio(whole, taken)),
  ];
}

/** Seconds without the reconciliation. */
function restored(measurement: Measurement | undefined): number | undefined {
  return middle(measurement, (sample) => sample.seconds - (sample.verifySeconds ?? 0));
}

function phaseOf(measurement: Measurement | undefined, phase: string): number | undefined {
  return middle(measurement, (sample) => sample.phaseSeconds?.[phase]);
}
