import path from 'node:path';
import { HoldfastError } from '../../core/errors.ts';
import type { DatabaseAccess } from '../../core/postgres/access.ts';
import type { Manifest } from '../../core/repository/manifest.ts';
import type { BackupWish, RestoreScope } from '../../core/restore/run.ts';
import { treesOf } from '../../core/restore/trees/treeParts.ts';
import type { TreePlace } from '../../core/restore/trees/trees.ts';
import { treesWanted, type TreeNames } from '../../core/restore/plan/wantedTrees.ts';
import type { RestoreOptions } from '../restoreOptions.ts';
import { recoverServer } from './server.ts';
import type { ServerOptions } from './serverOptions.ts';

/** What is to come back where. At least one of `database` and `trees`. */
export interface RecoveryWish {
  /** `latest`, an id, or the beginning of one. */
  readonly backup: string;
  readonly source?: string | undefined;
  readonly before?: string | undefined;
  readonly database?: DatabaseWish | undefined;
  readonly trees?: TreesWish | undefined;
}

export interface DatabaseWish extends RestoreScope {
  readonly server: DatabaseAccess;
  /** Name of the database to make. */
  readonly target: string;
  readonly createRoles: boolean;
  readonly jobs: number;
}

/** Without a name in `whole`, `paths` or `own`: all trees that the backup has. */
export interface TreesWish extends Required<TreeNames> {
  readonly whole: readonly string[];
  readonly paths: readonly string[];
  readonly outsideLinks: boolean;
  /** Directories by the tree that is to be at each. */
  readonly own: ReadonlyMap<string, string>;
  /** Every other tree comes into a directory of its name in this one. */
  readonly within?: string | undefined;
}

/** What `recover restore` is told of what to restore. */
export interface WishOptions extends RestoreOptions, ServerOptions {
  readonly into?: readonly string[];
}

export const DEFAULT_JOBS = 2;

/** What the options ask for. Throws InvalidInput for what makes no sense. */
export async function wishOf(
  backup: string,
  options: WishOptions,
  environment: NodeJS.ProcessEnv,
): Promise<RecoveryWish> {
  const { source, before, target, table, files, path: paths, into = [] } = options;
  if (into.length === 0 && (files || paths || options.outsideLinks))
    throw invalid('It is not said where the file trees are to stand');
  if (target === undefined && into.length === 0) throw invalid('It is not said what to restore');
  if (target === undefined) refuseDatabaseOptions(options);
  const trees = into.length === 0 ? undefined : treesWish(options);
  return {
    backup,
    source,
    before,
    ...(target !== undefined && {
      database: {
        server: await recoverServer(options, environment),
        target,
        createRoles: options.createRoles === true,
        noOwner: !options.owner,
        noPrivileges: !options.privileges,
        tables: table,
        jobs: options.jobs ?? DEFAULT_JOBS,
      },
    }),
    ...(trees && { trees }),
  };
}

/** What only a database can be restored with says that one was meant. */
function refuseDatabaseOptions(options: WishOptions): void {
  const { table, createRoles, owner, privileges, jobs, databaseUrl, passwordFile } = options;
  const given = Object.entries({
    '--table': table !== undefined,
    '--create-roles': createRoles === true,
    '--no-owner': !owner,
    '--no-privileges': !privileges,
    '--jobs': jobs !== undefined,
    '--database-url': databaseUrl !== undefined,
    '--password-file': passwordFile !== undefined,
  }).flatMap(([option, isGiven]) => (isGiven ? [option] : []));
  if (given.length > 0)
    throw invalid(
      `${given.join(' and ')} ${given.length === 1 ? 'is' : 'are'} for a database, and no --target names one`,
    );
}

/** A tree for which a place was to be named; a directory that is called so can be given as `./media=`. */
const NO_DIRECTORY = /^[a-z0-9][a-z0-9_-]{0,62}=$/;

function treesWish({ files = [], path: paths = [], outsideLinks, into = [] }: WishOptions): TreesWish {
  const own = new Map<string, string>();
  let within: string | undefined;
  for (const text of into) {
    if (text === '' || NO_DIRECTORY.test(text)) throw invalid(`--into ${text} names no directory`);
    const [, tree, directory] = /^([a-z0-9][a-z0-9_-]{0,62})=(.+)$/s.exec(text) ?? [];
    const known = tree === undefined ? within : own.get(tree);
    if (known !== undefined) throw invalid(`--into ${text} and ${known}: two places for the same`);
    if (tree !== undefined && directory !== undefined) own.set(tree, directory);
    else within = text;
  }
  return { whole: files, paths, outsideLinks: outsideLinks === true, own, within };
}

/** Which backup has all that is wanted. */
export function backupWish({ backup, source, before, database, trees }: RecoveryWish): BackupWish {
  const named = trees ? namedTrees(trees) : [];
  return {
    backup,
    source,
    before,
    parts: [...(database ? ['database'] : []), ...named],
    anyTree: trees !== undefined && named.length === 0,
  };
}

function namedTrees({ whole, paths, own }: TreesWish): string[] {
  const begun = paths.map((each) => each.split('/')[0] ?? '').filter((tree) => tree !== '');
  return [...new Set([...whole, ...begun, ...own.keys()])];
}

/**
 * Where each of the wanted trees of a backup comes, in new directories. Throws InvalidInput for one that the backup does
 * not have, that has no place, or that has the place of another.
 */
export function treePlaces(wish: TreesWish, manifest: Manifest): TreePlace[] {
  const { whole, paths, own, within } = wish;
  const known = treesOf(manifest);
  const inParts = paths.map((each) => each.split('/')[0]);
  // To name a place for a tree is to want it.
  const placed = [...own.keys()].filter((tree) => !inParts.includes(tree));
  const all = within !== undefined && whole.length === 0 && paths.length === 0;
  const wanted = treesWanted(
    { whole: [...whole, ...placed, ...(all ? known : [])], paths },
    known,
    `Backup ${manifest.id}`,
  );
  const inOrder = known.filter((tree) => wanted.has(tree));
  const places = inOrder.map((tree): TreePlace => {
    const some = wanted.get(tree);
    const directory = own.get(tree) ?? (within === undefined ? undefined : path.join(within, tree));
    if (directory === undefined) throw invalid(`It is not said where the tree ${tree} is to stand`);
    const at = path.resolve(directory);
    // The same for every try: what one that was killed has left is replaced by the next.
    return { tree, path: at, mode: 'new', id: manifest.id, mark: `recover/${at}`, ...(some && { paths: some }) };
  });
  for (const [index, { tree, path: at }] of places.entries()) {
    const other = places.slice(0, index).find((each) => each.path === at);
    if (other) throw invalid(`The trees ${other.tree} and ${tree} cannot both stand at ${at}`);
  }
  return places;
}

function invalid(message: string): HoldfastError {
  return new HoldfastError('InvalidInput', message, {
    advice:
      'Give --target NAME for the database; for file trees --into DIRECTORY, in which each comes into a folder of its name, or --into TREE=DIRECTORY.',
  });
}
