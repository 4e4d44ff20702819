import type { Floors } from '../config/schema.ts';
import type { Finding } from './finding.ts';

/** What is known of the database now: before the dump without `dumpBytes`, after it with. */
export interface FloorFacts {
  readonly name: string;
  readonly systemIdentifier?: string | undefined;
  readonly tables: number;
  /** Uncompressed bytes of `database` and all `rows-N` together. */
  readonly dumpBytes?: number;
}

/** The same of the last verified backup of the source. */
export interface PreviousFacts {
  readonly name: string;
  readonly systemIdentifier?: string | undefined;
  readonly dumpBytes: number;
}

/** Says what is too small, empty, or not the database of last time. Pure. */
export function checkFloors(now: FloorFacts, floors: Floors, previous?: PreviousFacts): Finding[] {
  return [...emptiness(now, floors), ...size(now, floors, previous), ...identity(now, previous)];
}

function violation(message: string, advice: string): Finding {
  return { severity: 'failure', type: 'FloorViolated', message, advice };
}

function emptiness(now: FloorFacts, floors: Floors): Finding[] {
  if (now.tables > 0 || floors.allowEmpty) return [];
  return [
    violation(
      `database ${now.name} has no table`,
      'Check host and name of the database, or set floors.allowEmpty in the plan.',
    ),
  ];
}

function size(now: FloorFacts, floors: Floors, previous: PreviousFacts | undefined): Finding[] {
  const { dumpBytes } = now;
  if (dumpBytes === undefined) return [];
  const found: Finding[] = [];
  if (dumpBytes < floors.minimumBytes)
    found.push(
      violation(
        `the dump of database ${now.name} has ${dumpBytes} bytes; floors.minimumBytes is ${floors.minimumBytes}`,
        'Look for what is missing, or lower floors.minimumBytes in the plan.',
      ),
    );
  if (previous && dumpBytes < previous.dumpBytes * (1 - floors.maximumShrink / 100))
    found.push(
      violation(
        `the dump of database ${now.name} shrank from ${previous.dumpBytes} to ${dumpBytes} bytes since the last verified backup; floors.maximumShrink is ${floors.maximumShrink} %`,
        'Look for what is missing, or raise floors.maximumShrink in the plan once.',
      ),
    );
  return found;
}

/** Another cluster may be a planned move: it is said, and not refused. */
function identity(now: FloorFacts, previous: PreviousFacts | undefined): Finding[] {
  if (!previous) return [];
  const found: string[] = [];
  if (now.name !== previous.name)
    found.push(`the database is ${now.name}; the last verified backup was of ${previous.name}`);
  const bothKnown = now.systemIdentifier !== undefined && previous.systemIdentifier !== undefined;
  if (bothKnown && now.systemIdentifier !== previous.systemIdentifier)
    found.push(
      `the server is another cluster (system identifier ${now.systemIdentifier}) than in the last verified backup (${previous.systemIdentifier})`,
    );
  const advice = 'Make sure that this is the database you mean.';
  return found.map((message) => ({ severity: 'warning', type: 'FloorViolated', message, advice }));
}
