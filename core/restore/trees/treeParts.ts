import { HoldfastError } from '../../errors.ts';
import { formatCount } from '../../format.ts';
import type { Manifest, ManifestPart } from '../../repository/manifest.ts';
import { partNamed } from '../../repository/readPart.ts';

/** The names of the file trees in a backup. */
export function treesOf(manifest: Manifest): string[] {
  return manifest.parts.filter(({ format }) => format === 'tar').map(({ part }) => part);
}

/** The part of a backup that is a tree of this name. Throws InvalidInput naming those there are. */
export function treeNamed(manifest: Manifest, tree: string): ManifestPart {
  const part = partNamed(manifest, tree);
  if (part.format === 'tar') return part;
  const trees = treesOf(manifest);
  throw new HoldfastError('InvalidInput', `Part ${tree} of backup ${manifest.id} is no file tree`, {
    advice: trees.length === 0 ? 'It holds none.' : `Its file trees are: ${trees.join(', ')}.`,
  });
}

/** What the backup itself could not keep as it was. */
export function treeNotices({ tree: report }: ManifestPart): string[] {
  if (!report) return [];
  const said = {
    changed: 'changed while being read',
    vanished: 'vanished while being read',
    unreadable: 'could not be read',
    skipped: 'of a kind that no archive keeps',
  };
  return Object.entries(said).flatMap(([what, text]) => {
    const { count, paths } = report[what as keyof typeof said];
    if (count === 0) return [];
    const verb = what !== 'skipped' ? '' : count === 1 ? 'was ' : 'were ';
    const entries = `${formatCount(count, 'entry', 'entries')} ${verb}${text}`;
    return [`${entries} when the backup was made: ${paths.slice(0, 5).join(', ')}`];
  });
}
