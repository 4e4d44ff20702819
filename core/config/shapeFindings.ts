import type { z } from 'zod';
import type { Finding, IssuePath } from './issue.ts';
import { didYouMean } from './nearest.ts';
import { knownKeys } from './schemaShape.ts';

/** Keys of the design that a later release brings, by the path of the map they stand in (`*` is any name). */
const LATER_KEYS: Readonly<Record<string, readonly string[]>> = {
  '': ['retention', 'maintenance', 'notify'],
  'sources.*': ['tenants', 'checks', 'restore'],
  'plans.*': ['cron', 'tenants', 'retention'],
};
const LATER_KINDS = ['tenant'];
const NOT_IN_THIS_RELEASE = 'not available in this release; remove it';

/** What zod found, in the words of somebody who writes YAML. Values are never repeated: they may be secrets. */
export function shapeFindings(issues: readonly z.core.$ZodIssue[], data: unknown): Finding[] {
  return issues.flatMap((issue) => findingsOf(issue, data));
}

function findingsOf(issue: z.core.$ZodIssue, data: unknown): Finding[] {
  const path = issue.path as IssuePath;
  const value = valueAt(data, path);
  const one = (message: string): Finding[] => [{ path, message }];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({ path: [...path, key], message: unknownKey(key, path, data) }));
    case 'invalid_key':
      return one(issue.issues[0]?.message ?? issue.message);
    case 'invalid_type':
      return one(
        value === undefined ? `is missing; expected ${kindOf(issue.expected)}` : wrongType(issue.expected, value),
      );
    case 'invalid_value':
      return one(wrongChoice(issue.values.map(String), value));
    case 'invalid_union':
      return one('discriminator' in issue ? wrongChoice(choicesOf(issue), value) : issue.message);
    case 'too_small':
      return one(`expected ${atLeast(issue.origin, Number(issue.minimum))}`);
    case 'too_big':
      return one(`expected at most ${issue.maximum}`);
    case 'invalid_format':
    case 'invalid_element':
    case 'not_multiple_of':
    case 'custom':
    default:
      // Only `custom` and formats with a message of their own stand in the schema.
      return one(issue.message);
  }
}

function unknownKey(key: string, path: IssuePath, data: unknown): string {
  const pattern = path.map((step, depth) => (depth % 2 === 1 ? '*' : step)).join('.');
  if (LATER_KEYS[pattern]?.includes(key) === true) return NOT_IN_THIS_RELEASE;
  const known = knownKeys(data, path);
  const suggestion = didYouMean(key, known);
  return `unknown key${suggestion === '' ? `; expected one of ${known.join(', ')}` : suggestion}`;
}

function wrongChoice(choices: readonly string[], value: unknown): string {
  const expected = choices.length === 1 ? `expected ${choices[0]}` : `expected one of ${choices.join(', ')}`;
  if (value === undefined) return `is missing; ${expected}`;
  if (typeof value !== 'string') return expected;
  return LATER_KINDS.includes(value) ? NOT_IN_THIS_RELEASE : `${expected}${didYouMean(value, choices)}`;
}

function choicesOf(issue: z.core.$ZodIssueInvalidUnion): string[] {
  return 'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : [];
}

function wrongType(expected: string, value: unknown): string {
  if (expected === 'int' && typeof value === 'number') return `expected ${kindOf(expected)}`;
  return `expected ${kindOf(expected)}, found ${Array.isArray(value) ? 'a list' : kindOf(value === null ? 'null' : typeof value)}`;
}

const KINDS: Readonly<Record<string, string>> = {
  object: 'a map of keys',
  record: 'a map of names',
  array: 'a list',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  null: 'nothing',
};

function kindOf(type: string): string {
  return KINDS[type] ?? type;
}

function atLeast(origin: string, minimum: number): string {
  if (origin === 'array') return minimum === 1 ? 'a list with at least one entry' : `at least ${minimum} entries`;
  if (origin === 'string') return minimum === 1 ? 'text that is not empty' : `at least ${minimum} characters`;
  return `at least ${minimum}`;
}

function valueAt(data: unknown, path: IssuePath): unknown {
  return path.reduce<unknown>((value, step) => (value as Record<string | number, unknown> | undefined)?.[step], data);
}
