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

/**
 * `onError` is called when the first error that is not `ignored` has been said to its end, `onRefusal` when the server did
 * not grant or revoke what it was told to: of that it only warns, where the role may do something else with the object.
 */
export function collectErrors({
  ignored,
  onError,
  onRefusal,
}: {
  readonly ignored?: RegExp;
  readonly onError?: () => void;
  readonly onRefusal?: () => void;
} = {}): ErrorCollector {
  const privileges: string[] = [];
  let refusal: string | undefined;
  let entry: string | undefined;
  let error: string[] = [];
  let collecting = false;
  let passedOver = 0;
  let counted = 0;
  return {
    onLine: (line) => {
      counted = Number(/^pg_restore: warning: errors ignored on restore: (\d+)$/.exec(line)?.[1] ?? counted);
      if ((error.length > 0 && !collecting) || refusal !== undefined) return;
      const object = CREATING_PRIVILEGES.exec(line)?.[1];
      if (object !== undefined) privileges.push(object);
      if (privileges.length > MOST_SESSIONS) privileges.shift();
      const refused = error.length === 0 ? REFUSAL.exec(line)?.[1] : undefined;
      if (refused !== undefined) {
        refusal = describeRefusal(refused, privileges);
        onRefusal?.();
        return;
      }
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
    failure: (entries) =>
      refusal === undefined
        ? describeFailure(entry, error, entries)
        : new HoldfastError('RestoreFailed', refusal, { advice: REFUSAL_ADVICE }),
  };
}

/** A server that speaks another language is not understood here; reconciliation finds what it did not do. */
const REFUSAL = /^pg_restore: WARNING: {2}((?:no|not all) privileges (?:were granted|could be revoked) for .*)$/;
const CREATING_PRIVILEGES = /^pg_restore: creating ACL "(.*)"$/;
/** Of pg_restore, side by side: so many lines later at most a warning is about this object. */
const MOST_SESSIONS = 32;
const REFUSAL_ADVICE = 'Restore as a superuser, or leave privileges out (--no-privileges).';

/** The warning has the object's last name only, and sessions side by side are not told apart. */
function describeRefusal(warning: string, privileges: readonly string[]): string {
  const names = [...warning.matchAll(/"([^"]*)"/g)].map(([, name = '']) => name);
  const object = privileges.findLast((each) => names.every((name) => each.replaceAll('"', '').includes(name)));
  const where = object === undefined ? 'privileges' : `privileges on ${inWords(object)}`;
  return `${where} cannot be restored: ${warning}`;
}

/** `app.FUNCTION gen_salt(text)`, as pg_restore says it. */
function inWords(object: string): string {
  const [, schema, kind = '', name = object] = /^(?:(.*?)\.)?([A-Z]+(?: [A-Z]+)*) (.*)$/.exec(object) ?? [];
  return `${kind.toLowerCase()} ${schema === undefined ? name : `${schema}.${name}`}`.trimStart();
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
