import { createHash } from 'node:crypto';
import path from 'node:path';
import { HoldfastError } from '../../errors.ts';
import { treePaths } from '../../files/pathSelection.ts';
import { isPartInPlace, lookAt, rootOf } from './stagingDirectory.ts';
import type { TreePlace } from './trees.ts';

/** One thing that is put somewhere: a whole tree, or one of its paths. */
export interface TreeTarget {
  /** Where it will stand. */
  readonly live: string;
  /** What stands there now is kept under this name. */
  readonly keptAs: string;
  /** Within the restored tree; empty for all of it. */
  readonly within: string;
}

/** Of Linux's file systems, in bytes. */
const LONGEST_NAME = 255;

/** What a restore puts where. Throws InvalidInput for paths that are none. */
export async function targetsOf(place: TreePlace): Promise<TreeTarget[]> {
  const root = await rootOf(place);
  if (!/^[\w-]{1,64}$/.test(place.id) || path.dirname(root) === root)
    throw new HoldfastError('InvalidInput', `${place.tree} cannot be restored to ${root} as ${place.id}`, {
      advice: 'Give the path of a directory below the root, and an id of at most 64 letters, digits, - and _.',
    });
  if (isPartInPlace(place))
    return treePaths(place.paths ?? []).map((within) => {
      const live = path.join(root, within);
      return { live, keptAs: nameBeside(live, 'before', place), within };
    });
  const live = place.mode === 'beside' ? nameBeside(root, 'restored', place) : root;
  return [{ live, keptAs: nameBeside(live, 'before', place), within: '' }];
}

/**
 * A name beside `live`: `<live>_<what>_<id>`. Where no name may be that long, as much of it as fits, and a hash of all of
 * it: two long names that begin alike stay two.
 */
export function nameBeside(
  live: string,
  what: 'before' | 'restored' | 'meanwhile' | 'undone',
  { id }: Pick<TreePlace, 'id'>,
): string {
  const name = path.basename(live);
  const ending = `_${what}_${id}`;
  if (Buffer.byteLength(name + ending) <= LONGEST_NAME) return live + ending;
  const cutEnding = `_${createHash('sha256').update(name).digest('hex').slice(0, 8)}${ending}`;
  const characters = Array.from(name);
  while (Buffer.byteLength(characters.join('') + cutEnding) > LONGEST_NAME) characters.pop();
  return path.join(path.dirname(live), characters.join('') + cutEnding);
}

/** The directories between the root of a tree and a path in it, from the top. */
export function directoriesAbove(within: string): string[] {
  const names = within.split('/').slice(0, -1);
  return names.map((_name, index) => names.slice(0, index + 1).join('/'));
}

/**
 * Directories above a path that are not there, from the top. Throws RefusedForSafety where one is a symbolic link, or
 * no directory: what is put below it would land elsewhere.
 */
export async function missingAbove(root: string, within: string): Promise<string[]> {
  const missing: string[] = [];
  for (const above of directoriesAbove(within)) {
    const found = await lookAt(path.join(root, above));
    if (found === undefined) missing.push(above);
    else if (!found.isDirectory())
      throw new HoldfastError(
        'RefusedForSafety',
        `${path.join(root, above)} is ${found.isSymbolicLink() ? 'a symbolic link' : 'no directory'}`,
        {
          advice: `Restore it beside the tree instead (mode beside, the same paths), and put ${within} in place by hand.`,
        },
      );
  }
  return missing;
}
