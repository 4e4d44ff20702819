import { didYouMean } from '../config/nearest.ts';
import type { Configuration, SourceConfiguration } from '../config/schema.ts';
import { HoldfastError } from '../errors.ts';
import { findTar } from '../files/tarProgram.ts';
import type { Manifest } from '../repository/manifest.ts';
import type { PlannedFiles, RestoreInput } from './flow.ts';
import { planTrees } from './planTrees.ts';
import { treesOf } from './treeParts.ts';
import type { OwnDirectory, TreePlace } from './trees.ts';

/** The trees that are meant, and of each the paths that are: undefined for all of it. */
export type WantedTrees = ReadonlyMap<string, readonly string[] | undefined>;

/**
 * What an input wants of a source's file trees. In mode `files` that names none, all of the source that the backup has.
 * Throws InvalidInput for a tree that the source does not have, and for a path that names none.
 */
export function wantedTrees(
  { files }: SourceConfiguration,
  { source, mode, files: whole = [], paths = [] }: RestoreInput,
  inBackup: readonly string[] = Object.keys(files),
): WantedTrees {
  const known = Object.keys(files);
  const wanted = new Map<string, string[] | undefined>();
  for (const tree of whole) wanted.set(tree, undefined);
  for (const path of paths) {
    const [tree = '', ...rest] = path.split('/');
    if (tree === '') throw invalid(`${path} begins with no file tree`, 'Write TREE/PATH, e.g. media/photos/1.jpg.');
    if (rest.join('') === '') throw invalid(`${path} names no file`, 'Write TREE/PATH, e.g. media/photos/1.jpg.');
    if (whole.includes(tree)) throw invalid(`Tree ${tree} is wanted whole and in parts`, 'Leave one of them out.');
    wanted.set(tree, [...(wanted.get(tree) ?? []), rest.join('/')]);
  }
  if (mode === 'files' && wanted.size === 0)
    for (const tree of known) if (inBackup.includes(tree)) wanted.set(tree, undefined);
  for (const tree of wanted.keys())
    if (!known.includes(tree))
      throw invalid(
        `Source ${source} has no file tree ${tree}`,
        known.length === 0 ? 'It has none at all.' : `It has: ${known.join(', ')}${didYouMean(tree, known)}`,
      );
  return wanted;
}

export interface PlanFilesOptions {
  readonly configuration: Configuration;
  readonly source: SourceConfiguration;
  readonly input: RestoreInput;
  readonly manifest: Manifest;
  readonly id: string;
  readonly mark: string;
  /** Where this is asked, which is where the trees are: its task queue and, for people, its name. */
  readonly spoolQueue: string;
  readonly host: string;
}

/** Looks what would happen to the wanted trees on this host; undefined where none is wanted. */
export async function planFiles(options: PlanFilesOptions): Promise<PlannedFiles | undefined> {
  const { configuration, source, input, manifest, id, mark, spoolQueue, host } = options;
  const wanted = wantedTrees(source, input, treesOf(manifest));
  if (wanted.size === 0) return undefined;
  const places = [...wanted].flatMap(([tree, paths]): TreePlace[] => {
    const configured = source.files[tree];
    if (configured === undefined) return [];
    const mode = input.mode === 'new' || input.mode === undefined ? 'beside' : 'in-place';
    return [{ tree, path: configured.path, mode, id, mark, ...(paths && { paths }) }];
  });
  const plans = await planTrees({
    manifest,
    trees: places.map((place) => ({ ...place, exclude: source.files[place.tree]?.exclude })),
    tar: await findTar(),
    outsideLinks: input.outsideLinks,
    ownDirectories: ownDirectories(configuration),
  });
  return {
    host,
    hostQueue: spoolQueue,
    outsideLinks: input.outsideLinks === true,
    trees: places.flatMap((place, index) => {
      const plan = plans[index];
      if (plan === undefined) return [];
      const { findings, ...rest } = plan;
      return [
        {
          ...rest,
          place,
          findings: findings.map((each) => ({ ...each, message: `tree ${place.tree}: ${each.message}` })),
        },
      ];
    }),
  };
}

function ownDirectories({ spool, backends }: Configuration): OwnDirectory[] {
  const storages = Object.entries(backends).flatMap(([name, backend]) =>
    backend.type === 'local' ? [{ what: `the storage ${name}`, path: backend.path }] : [],
  );
  return [{ what: 'the spool', path: spool.path }, ...storages];
}

function invalid(message: string, advice: string): HoldfastError {
  return new HoldfastError('InvalidInput', message, { advice });
}
