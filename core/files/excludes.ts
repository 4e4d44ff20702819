import type { FileTreeConfiguration } from '../config/sourceSchema.ts';
import { HoldfastError } from '../errors.ts';

/** What the names of the directories begin with in which restores work, beside a tree or in it. */
export const STAGING_PREFIX = '.holdfast-restoring-';

/** The patterns of a tree, and what Holdfast itself puts into trees: nothing of the application's, and no backup holds it. */
export function excludedOf({ exclude }: Pick<FileTreeConfiguration, 'exclude'>): string[] {
  return [...exclude, `${STAGING_PREFIX}*`];
}

/**
 * Exclude patterns, as in `tar --exclude`: `*` and `?` match any characters, `/` too; `[...]` a set. A pattern without a
 * slash names files and directories anywhere in the tree; one with a slash (other than at its end) starts at the root of
 * the tree. A directory that matches is left out with all it holds. The root itself cannot be excluded.
 *
 * GNU tar gets all of them anchored, with the leading `./` that its member names have. Left to itself it also matches
 * the root `.`, so that a plain `.*` would leave out everything.
 */
export function excludeArguments(patterns: readonly string[]): string[] {
  if (patterns.length === 0) return [];
  return [
    '--anchored',
    '--wildcards',
    '--wildcards-match-slash',
    ...patterns.map((each) => `--exclude=${anchored(each)}`),
  ];
}

/** The same rules for whoever walks the tree itself. Takes paths of one character a byte that start with `./`. */
export function excludeFilter(patterns: readonly string[]): (path: string) => boolean {
  const expressions = patterns.map((pattern) =>
    toExpression(Buffer.from(anchored(pattern), 'utf8').toString('latin1')),
  );
  return (path) => expressions.some((expression) => expression.test(path));
}

function anchored(pattern: string): string {
  const trimmed = pattern.replace(/^\.\//, '/').replace(/(?<=.)\/+$/, '');
  if (trimmed === '/' || trimmed === '.' || trimmed.includes('[:'))
    throw new HoldfastError('InvalidConfiguration', `the exclude pattern ${JSON.stringify(pattern)} cannot be used`, {
      advice: 'Use *, ? and [...] relative to the root of the tree; character classes are not supported.',
    });
  return trimmed.includes('/') ? `./${trimmed.replace(/^\/+/, '')}` : `*/${trimmed}`;
}

/** fnmatch(3) without FNM_PATHNAME and FNM_PERIOD, with GNU's FNM_LEADING_DIR, as a regular expression over bytes. */
function toExpression(pattern: string): RegExp {
  const source = pattern.replaceAll(
    /\\([^])|\[([!^]?)(\]?[^\]]*)\]|([^])/g,
    (
      _all,
      escaped: string | undefined,
      negated: string | undefined,
      set: string | undefined,
      character: string | undefined,
    ) => {
      if (escaped !== undefined) return literal(escaped);
      if (set !== undefined) return `[${negated ? '^' : ''}${set.replaceAll(/[\\\]^[]/g, String.raw`\$&`)}]`;
      if (character === '*') return '[^]*';
      if (character === '?') return '[^]';
      return literal(character ?? '');
    },
  );
  return new RegExp(`^${source}(?:/|$)`);
}

function literal(character: string): string {
  return character.replace(/[\\^$.*+?()[\]{}|/-]/, String.raw`\$&`);
}
