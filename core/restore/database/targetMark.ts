import { createHash, randomBytes } from 'node:crypto';

/**
 * How an unfinished database says whose it is: by its comment, which also names the very database that was made, by
 * PostgreSQL's number and by name. One that was renamed by hand, or a copy that took the comment with it, is nobody's to
 * drop.
 */

/** A database as `pg_database` has it. */
export interface FoundDatabase {
  readonly oid: string;
  readonly name: string;
  readonly comment: string | null;
}

/** Whose, over all tries, and of which try. */
export interface TargetMark {
  /** See RestoreDatabaseOptions. */
  readonly mark: string;
  /** Of `newAttempt`. */
  readonly attempt: string;
}

interface WrittenMark extends TargetMark {
  readonly oid: string;
  readonly name: string;
}

export function newAttempt(): string {
  return randomBytes(4).toString('hex');
}

/** The comment of a database that is called `name` until it is whole. `own` is what it has as its own, from the next line on. */
export function markedComment(
  { mark, attempt }: TargetMark,
  { oid, name }: Pick<FoundDatabase, 'oid' | 'name'>,
  own?: string | null,
): string {
  // As JSON no name has an end of line.
  return `${COMMENT_START}${mark} (${attempt}, ${oid}, ${JSON.stringify(name)})${own ? `\n${own}` : ''}`;
}

/** A database's own comment, without a mark before it. */
export function ownComment(comment: string | null | undefined): string | null {
  const marked = MARKED.exec(comment ?? '');
  return (marked ? marked[5] : comment) || null;
}

/** Whether this very database was made for the mark under the name that it has, and not let go yet. */
export function isMarked(database: FoundDatabase, mark: string, attempt?: string): boolean {
  const written = readMark(database);
  if (written?.mark !== mark || written.oid !== database.oid || written.name !== database.name) return false;
  return attempt === undefined || written.attempt === attempt;
}

/** Whether it is one that `createTarget` of the mark has made and not named yet. */
export function isNewborn(database: FoundDatabase, mark: string): boolean {
  if (!database.name.startsWith(newbornPrefix(mark))) return false;
  if (database.comment === null) return true;
  const written = readMark(database);
  return written?.mark === mark && written.oid === database.oid;
}

/** The mark that a comment begins with, whosever it is. */
export function readMark({ comment }: Pick<FoundDatabase, 'comment'>): WrittenMark | undefined {
  const [, mark, attempt, oid, name] = MARKED.exec(comment ?? '') ?? [];
  if (mark === undefined || attempt === undefined || oid === undefined || name === undefined) return undefined;
  return { mark, attempt, oid, name: nameIn(name) };
}

/** A name of the mark's own, until the comment stands: at every instant one of the two says whose the database is. */
export function newbornName({ mark, attempt }: TargetMark): string {
  return `${newbornPrefix(mark)}${attempt}`;
}

export function newbornPrefix(mark: string): string {
  return `holdfast_new_${shortHash(mark)}_${shortHash(scopeOf(mark))}_`;
}

/** Fits the newborns of all marks of a scope: what dead runs left is found without knowing them. */
export function newbornPattern(scope: string): string {
  return `^holdfast_new_[0-9a-f]{16}_${shortHash(scope)}_[0-9a-f]{8}$`;
}

/** A mark's scope is what stands before its last `/`: runs of one scope exclude each other. */
export function scopeOf(mark: string): string {
  return mark.slice(0, Math.max(0, mark.lastIndexOf('/')));
}

export const COMMENT_START = 'Holdfast is restoring into this database: ';

const MARKED = /^Holdfast is restoring into this database: ([^\n]+) \(([0-9a-z]+), (\d+), ("[^\n]*")\)(?:\n([^]*))?$/;

/** Anybody may write a comment. */
function nameIn(json: string): string {
  try {
    return String(JSON.parse(json));
  } catch {
    return '';
  }
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
