import { isUtf8 } from 'node:buffer';
import type { PathList } from '../backup/part.ts';

/**
 * Paths in this folder are strings of one character a byte (latin1), because a file's name is any bytes but `/` and
 * zero. Only what a person or the manifest sees is turned into text, by `printablePath`.
 */

/** How many paths a list names; its count goes on. */
export const LISTED_PATHS = 50;

export interface PathCollector {
  /** Takes a path of one character a byte. The same path twice in a row counts once. */
  add(path: string): void;
  list(): PathList;
}

export function createPathCollector(): PathCollector {
  const paths: string[] = [];
  let count = 0;
  let last: string | undefined;
  return {
    add: (path) => {
      if (path === last) return;
      last = path;
      count++;
      if (paths.length < LISTED_PATHS) paths.push(shownPath(path));
    },
    list: () => ({ count, paths: [...paths] }),
  };
}

/**
 * The path as text that stands on one line and means one file only: without a leading `./`, control characters and
 * backslashes escaped as in C, and every byte of a name that is not UTF-8 as three octal digits.
 */
export function printablePath(path: string): string {
  const escaped = path
    .replace(/^\.\/(?=.)/, '')
    .replaceAll(/[^\x20-\x5b\x5d-\x7e\x80-\xff]/g, (character) => ESCAPES[character] ?? octal(character));
  const bytes = Buffer.from(escaped, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : escaped.replaceAll(/[\x80-\xff]/g, octal);
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\t': '\\t', '\r': '\\r' };

/** So long a path is shown as it is. */
const SHOWN = 500;
const SHOWN_END = 200;

/** As `printablePath`; of one that would fill the screen its beginning and its end, and its length. */
export function shownPath(path: string): string {
  const text = printablePath(path);
  if (text.length <= SHOWN) return text;
  return `${text.slice(0, SHOWN - SHOWN_END)}...${text.slice(-SHOWN_END)} (${path.length} bytes)`;
}

function octal(character: string): string {
  return `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`;
}

const ESCAPED: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** Undoes what `printablePath` does, and gnulib's `escape` quoting; takes and gives one character a byte. */
export function unescapePath(name: string): string {
  return name.replaceAll(
    /\\(?:([0-7]{3})|([^]))/g,
    (_all, digits: string | undefined, character: string | undefined) =>
      digits === undefined
        ? (ESCAPED[character ?? ''] ?? character ?? '')
        : String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
