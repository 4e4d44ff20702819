import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { byteSize } from '../../core/config/units.ts';

export interface SoakOptions {
  /** Decides when the worker is killed, and which copies are restored. */
  readonly seed: number;
  readonly kills: number;
  /** The most kills in one run; each run draws its own number up to it. */
  readonly killsPerRun: number;
  /** Of the database, in bytes. */
  readonly size: number;
  /** The command that repeats this soak. */
  readonly command: string;
}

export const USAGE = `npm run soak -- [--seed N] [--kills 50] [--kills-per-run 3] [--size 300MB]

  --seed           the same seed kills at the same shares of a run (default: a random one, which is printed)
  --kills          how often the worker's process is killed with SIGKILL in all
  --kills-per-run  the most of them in one backup
  --size           of the database`;

const counted = z.coerce.number().int().min(1);

export function readOptions(args: readonly string[]): SoakOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string', default: String(randomInt(1, 1_000_000)) },
      kills: { type: 'string', default: '50' },
      'kills-per-run': { type: 'string', default: '3' },
      size: { type: 'string', default: '300MB' },
    },
  });
  const flags = Object.entries(values).map(([name, value]) => `--${name} ${value}`);
  return {
    seed: counted.parse(values.seed),
    kills: counted.parse(values.kills),
    killsPerRun: counted.parse(values['kills-per-run']),
    size: byteSize.parse(values.size),
    command: `npm run soak -- ${flags.join(' ')}`,
  };
}
