import { HoldfastError, type ErrorType } from '../../errors.ts';
import { describeEntry, type ArchiveEntry } from './archiveEntries.ts';

/**
 * Gathers from pg_restore's standard error what went wrong with which object. Its statement and all its other lines are
 * left out, as cause too: they can hold rows, and passwords of user mappings.
 */
export interface ErrorCollector {
  readonly onLine: (line: string) => void;
  /** Whether there were errors, and all that pg_restore counted were seen here and are such as are ignored. */
  onlyIgnored(): boolean;
  /** What the collected lines say; undefined where they name no error of the server. */
  failure(entries: readonly ArchiveEntry[]): HoldfastError | undefined;
}

const MOST_LINES = 12;

/** `onError` is called when the first error that is not `ignored` has been said to its end. */
export function collectErrors({
  ignored,
  onError,
}: { readonly ignored?: RegExp; readonly onError?: () => void } = {}): ErrorCollector {
  let entry: string | undefined;
  let error: string[] = [];
  let collecting = false;
  let passedOver = 0;
  let counted = 0;
  return {
    onLine: (line) => {
      counted = Number(/^pg_restore: warning: errors ignored on restore: (\d+)$/.exec(line)?.[1] ?? counted);
      if (error.length > 0 && !collecting) return;
      if (line.includes('from TOC entry ')) entry = line;
      const begun = /^pg_restore: error: (.*)$/.exec(line)?.[1];
      if (begun !== undefined && ignored?.test(begun) === true) {
        passedOver += 1;
      } else if (begun !== undefined && !collecting) {
        collecting = true;
        error = [begun];
      } else if (collecting && (line.startsWith('Command was: ') || line.startsWith('pg_restore: '))) {
        collecting = false;
        onError?.();
      } else if (collecting && error.length < MOST_LINES) {
        error.push(line);
      }
    },
    onlyIgnored: () => passedOver > 0 && passedOver === counted && error.length === 0,
    failure: (entries) => describeFailure(entry, error, entries),
  };
}

function describeFailure(
  entry: string | undefined,
  lines: readonly string[],
  entries: readonly ArchiveEntry[],
): HoldfastError | undefined {
  const [first = ''] = lines;
  if (
    /server closed the connection|could not connect|connection to server|terminating connection/.test(lines.join(' '))
  )
    return new HoldfastError('SourceUnreachable', `pg_restore lost the server: ${first}`, {
      advice: 'Look into the log of the server.',
    });
  const message = /(?:ERROR|FATAL): {2}(.*)$/.exec(first)?.[1];
  if (message === undefined) return undefined;
  const object = entry === undefined ? 'the backup' : (describeEntry(entry, entries) ?? 'an object');
  const details = lines.slice(1).flatMap(detailOf);
  const text = details.length === 0 ? message : `${message} (${details.join('; ')})`;
  const [type, advice] = adviceFor(message);
  return new HoldfastError(type, `${object} cannot be restored: ${text}`, { advice });
}

/** Details and contexts can quote rows, which belong into no log: where is told, what is not. */
function detailOf(line: string): string[] {
  const key = /^DETAIL: {2}Key (\(.*?\))=/.exec(line)?.[1];
  if (key !== undefined) return [`key ${key}`];
  const copy = /^CONTEXT: {2}(COPY .*?, line \d+(?:, column [^:]+)?)/.exec(line)?.[1];
  if (copy !== undefined) return [copy];
  const routine = /^CONTEXT: {2}((?:SQL|PL\/\w+) function .*?)(?: line \d+ at .*)?$/.exec(line)?.[1];
  if (routine !== undefined) return [routine];
  return /^COPY .*?, line \d+/.exec(line)?.slice(0, 1) ?? [];
}

const ADVICE: readonly (readonly [RegExp, string])[] = [
  [
    /^(function|relation|type|operator) .* does not exist|^operator does not exist/,
    'Something names another object without its schema. At the source, qualify it or ALTER FUNCTION ... SET search_path, then take a new backup.',
  ],
  [
    /^could not create unique index|violates unique|is duplicated/,
    'The source holds duplicates that its own broken index does not see: remove them there and REINDEX, then take a new backup.',
  ],
  [
    /invalid byte sequence|has no equivalent in encoding/,
    'The source holds bytes that are no text in its encoding: mend them there, then take a new backup.',
  ],
  [
    /violates (check|foreign key|not-null)/,
    'The rows at the source break this rule too: mend them there, then take a new backup.',
  ],
  [/^role .* does not exist/, 'Create the role on the target server, or leave owners and privileges out.'],
  [
    /^query would be affected by row-level security/,
    'Its owner is subject to row-level security: for as long as the restore takes, ALTER ROLE ... BYPASSRLS for who owns it and for who restores.',
  ],
  [
    /^permission denied to set session authorization/,
    'Somebody else than the owner granted this: restore as a superuser, or leave privileges out.',
  ],
  [
    /must be (member|owner|able)|permission denied|must be superuser/,
    'Restore as a superuser, or leave owners and privileges out.',
  ],
  [
    /^extension .* is not available|could not open extension control file/,
    'Install the extension on the target server.',
  ],
  [/tablespace .* does not exist/, 'Create the tablespace on the target server.'],
  [/No space left on device/, 'Make room on the target server.'],
];

function adviceFor(message: string): [ErrorType, string] {
  const advice = ADVICE.find(([pattern]) => pattern.test(message))?.[1];
  return ['RestoreFailed', advice ?? 'Look into the log of the target server for the statement that failed.'];
}
