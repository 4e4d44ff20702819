import { parseArgs } from 'node:util';
import { byteSize } from '../core/config/units.ts';

export interface BenchOptions {
  /** Of the database, in bytes. */
  readonly size: number;
  /** As it was written, for names and titles. */
  readonly sizeText: string;
  readonly runs: number;
  /** zstd level of Holdfast and of the pipe it is compared with. */
  readonly level: number;
  /** Only contenders whose name contains this. */
  readonly only: string | undefined;
  readonly save: boolean;
  readonly profile: boolean;
  /** Holds the database between runs, and the copies while running. Must not lie in a directory that others cannot enter. */
  readonly directory: string;
}

export const USAGE = `npm run bench -- [--size 1GB] [--runs 3] [--level 1] [--only TEXT] [--save] [--profile] [--directory /var/tmp/holdfast-bench]

  --size       of the database that is made, or used again from an earlier run
  --runs       of each contender, in turn; medians are shown
  --level      zstd level on both sides
  --only       only contenders whose name contains this, e.g. holdfast, pg_dump or restore
  --save       write bench/results/<date>-<size>.md
  --profile    write a CPU profile of the worker into bench/work/`;

export function readOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      size: { type: 'string', default: '1GB' },
      runs: { type: 'string', default: '3' },
      level: { type: 'string', default: '1' },
      only: { type: 'string' },
      save: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      directory: { type: 'string', default: '/var/tmp/holdfast-bench' },
    },
  });
  return {
    ...values,
    size: byteSize.parse(values.size),
    sizeText: values.size,
    runs: Number(values.runs),
    level: Number(values.level),
    only: values.only,
  };
}
