import { createHash } from 'node:crypto';

/** 32 hex digits of SHA-256. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

const TYPE_NAME = String.raw`(?:character varying|double precision|bit varying|(?:timestamp|time)(?:\(\d+\))?(?: with(?:out)? time zone)?|interval(?: \w+)?|(?:"(?:[^"]|"")+"|\w+)(?:\.(?:"(?:[^"]|"")+"|\w+))*)`;
const CAST = new RegExp(String.raw`::${TYPE_NAME}(?:\(\d+(?:,\s*-?\d+)?\))?(?:\[\])*`, 'g');

/**
 * Digest of a definition that the server prints from a parse tree. Such text changes with a dump and restore, though
 * its meaning does not: `x in ('a')` on a varchar comes back with its casts and parentheses elsewhere. So they, and
 * white space, are left out.
 */
export function digestOfSpelled(definition: string): string {
  return digest(
    definition
      .replace(CAST, '')
      .replace(/[()\s]+/g, ' ')
      .replace(/ ?([,[\]]) ?/g, '$1')
      .trim(),
  );
}
