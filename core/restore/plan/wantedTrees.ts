import { didYouMean } from '../../config/nearest.ts';
import { HoldfastError } from '../../errors.ts';

/** The trees that are meant, and of each the paths that are: undefined for all of it. */
export type WantedTrees = ReadonlyMap<string, readonly string[] | undefined>;

/** What was asked for: trees by name, and single files and folders as `tree/path`. */
export interface TreeNames {
  readonly whole?: readonly string[] | undefined;
  readonly paths?: readonly string[] | undefined;
}

/**
 * Which trees are wanted, and what of each. `owner` has the `known` ones, e.g. `Source shop`. Throws InvalidInput for a
 * tree that is not known, a path that names none, and a tree that is wanted whole and in parts.
 */
export function treesWanted(
  { whole = [], paths = [] }: TreeNames,
  known: readonly string[],
  owner: string,
): WantedTrees {
  const wanted = new Map<string, string[] | undefined>();
  for (const tree of whole) wanted.set(tree, undefined);
  for (const path of paths) {
    const [tree = '', ...rest] = path.split('/');
    if (tree === '') throw invalid(`${path} begins with no file tree`, 'Write TREE/PATH, e.g. media/photos/1.jpg.');
    if (rest.join('') === '') throw invalid(`${path} names no file`, 'Write TREE/PATH, e.g. media/photos/1.jpg.');
    if (whole.includes(tree)) throw invalid(`Tree ${tree} is wanted whole and in parts`, 'Leave one of them out.');
    wanted.set(tree, [...(wanted.get(tree) ?? []), rest.join('/')]);
  }
  for (const tree of wanted.keys())
    if (!known.includes(tree))
      throw invalid(
        `${owner} has no file tree ${tree}`,
        known.length === 0 ? 'It has none at all.' : `It has: ${known.join(', ')}${didYouMean(tree, known)}`,
      );
  return wanted;
}

function invalid(message: string, advice: string): HoldfastError {
  return new HoldfastError('InvalidInput', message, { advice });
}
