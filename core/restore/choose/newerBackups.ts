import { isHoldfastError, messageOf } from '../../errors.ts';
import { parseBackupId } from '../../repository/backupId.ts';
import { backupPrefix, manifestKey } from '../../repository/layout.ts';
import type { Manifest } from '../../repository/manifest.ts';
import { isPartKey } from '../../sweep/findRemnants.ts';
import { LEAST_AGE } from '../../sweep/age.ts';
import { runThatMakes } from '../../sweep/liveRuns.ts';
import { lackOf } from './lackOf.ts';
import type { Unpublished, Untrusted } from './passOver.ts';
import type { BackupIndex, BackupWish, IndexedBackup, PassedOver, RestoreCopy } from '../run.ts';
import { firstLines } from '../shortened.ts';

export interface NewerBackupsOptions {
  readonly wish: BackupWish;
  readonly source: string;
  /** The storages that were to be asked. */
  readonly copies: readonly RestoreCopy[];
  /** The newest that can be restored. */
  readonly chosen: Manifest;
  /** Milliseconds since the epoch: nothing that was sealed later is wanted. */
  readonly until: number | undefined;
  /** Of backups that no storage has a manifest of that can be trusted. */
  readonly untrusted: readonly Untrusted[];
  readonly unpublished: readonly Unpublished[];
  /** Ids of the backups that can be restored, or could be if they were wanted. */
  readonly readable: ReadonlySet<string>;
  /** Storages that could not be asked. */
  readonly silent: readonly PassedOver[];
  readonly index?: BackupIndex | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface NewerBackups {
  /** In words, a line each. */
  readonly newer: readonly string[];
  /** Which of the manifests that cannot be trusted those lines tell. */
  readonly untrusted: readonly Untrusted[];
  readonly indexSilent?: string;
}

/**
 * What speaks for a newer backup than the one that was chosen as the newest: a manifest that cannot be trusted; parts
 * without a manifest, unless a run is making them now or the index knows that they never were published; one that the
 * index knows as published, of which no storage has a copy; a storage that does not answer, where the index says that a
 * newer one lies there, or cannot be asked.
 */
export async function newerBackups(options: NewerBackupsOptions): Promise<NewerBackups> {
  const untrusted = options.untrusted.filter(({ location }) => mayBeMeant(location, options));
  const known = await askIndex(options);
  const incomplete = await unfinished(options, known);
  const told = new Set([...untrusted, ...options.unpublished].map(({ location }) => location.backup));
  return {
    newer: firstLines([
      ...untrusted.map(({ backend, reason }) => `${backend}: ${reason}`),
      ...incomplete,
      ...(known.backups ?? []).filter(({ id }) => !told.has(id)).map((backup) => lost(backup, options)),
      ...(known.backups ? [] : options.silent.map((each) => unknown(each, known))),
    ]),
    untrusted,
    ...(known.silent !== undefined && { indexSilent: known.silent }),
  };
}

interface Known {
  /** Those that are meant, newer, and published; undefined where there is no index, or it could not be asked. */
  readonly backups?: readonly IndexedBackup[];
  /** Ids of all newer runs. */
  readonly runs: ReadonlySet<string>;
  /** Why it could not be asked. */
  readonly silent?: string;
}

async function askIndex({ index, source, chosen, readable, signal, ...wanted }: NewerBackupsOptions): Promise<Known> {
  if (index === undefined) return { runs: new Set() };
  try {
    const runs = await index.begunSince(source, chosen.startedAt);
    const backups = runs.filter((run) => !readable.has(run.id) && wasMeant(run, wanted));
    return { backups, runs: new Set(runs.map(({ id }) => id)) };
  } catch (error) {
    signal?.throwIfAborted();
    if (!isHoldfastError(error, 'CatalogUnavailable')) throw error;
    return { runs: new Set(), silent: messageOf(error) };
  }
}

function wasMeant(
  { tier, manifest, published }: IndexedBackup,
  { wish, until }: Pick<NewerBackupsOptions, 'wish' | 'until'>,
): boolean {
  if (tier === 'pre-restore' || manifest === undefined || published.length === 0) return false;
  return lackOf(manifest, wish) === undefined && (until === undefined || Date.parse(manifest.sealedAt) <= until);
}

/** There is no manifest to be trusted, but a folder's name tells when its backup was begun. */
function mayBeMeant(
  { backup, tier }: Untrusted['location'],
  { chosen, until }: Pick<NewerBackupsOptions, 'chosen' | 'until'>,
): boolean {
  const inTime = until === undefined || parseBackupId(backup).time.getTime() <= until;
  return tier !== 'pre-restore' && backup > chosen.id && inTime;
}

/** Newer folders with parts and without a manifest, a line for each backup. */
async function unfinished(options: NewerBackupsOptions, known: Known): Promise<string[]> {
  const newer = options.unpublished.filter(({ location }) => mayBeMeant(location, options));
  const byBackup = Map.groupBy(newer, ({ location }) => location.backup);
  const lines: string[] = [];
  for (const [id, folders] of byBackup) {
    const published = known.backups?.find((backup) => backup.id === id);
    // The index knows it: it never was published, or is not of the kind that is wanted.
    if (published === undefined && known.runs.has(id)) continue;
    const holding: string[] = [];
    for (const folder of folders) if (await hasParts(folder, options.signal)) holding.push(folder.copy.backend);
    if (holding.length === 0 && published === undefined) continue;
    const run = published === undefined ? await makerOf(folders[0], options) : { asked: true };
    if (run.made || (await isPublishedNow(folders, options.signal))) continue;
    const where = holding.length === 0 ? '' : `parts without a manifest on ${holding.join(', ')}: `;
    lines.push(`${where}${published ? lost(published, options) : whatItMayBe(id, options, known, run.asked)}`);
  }
  return lines;
}

async function hasParts({ copy, location }: Unpublished, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    const backend = await copy.open();
    for await (const { key } of backend.list(backupPrefix(location), signal)) if (isPartKey(key)) return true;
    return false;
  } catch (error) {
    signal?.throwIfAborted();
    // It answered a moment ago, and named the folder.
    if (isHoldfastError(error)) return true;
    throw error;
  }
}

/** A run that ended while the storages were read has published it since. */
async function isPublishedNow(folders: readonly Unpublished[], signal: AbortSignal | undefined): Promise<boolean> {
  for (const { copy, location } of folders) {
    try {
      if (await (await copy.open()).head(manifestKey(location), signal)) return true;
    } catch (error) {
      signal?.throwIfAborted();
      if (!isHoldfastError(error)) throw error;
    }
  }
  return false;
}

async function makerOf(
  folder: Unpublished | undefined,
  { index, signal }: NewerBackupsOptions,
): Promise<{ readonly made?: boolean; readonly asked: boolean }> {
  if (folder === undefined || index === undefined) return { asked: false };
  // It need not be among the running ones yet.
  const age = Date.now() - parseBackupId(folder.location.backup).time.getTime();
  if (Math.abs(age) < LEAST_AGE) return { made: true, asked: true };
  try {
    return { made: runThatMakes(folder.location, await index.liveRuns()) !== undefined, asked: true };
  } catch (error) {
    signal?.throwIfAborted();
    if (!isHoldfastError(error, 'TemporalUnreachable')) throw error;
    return { asked: false };
  }
}

function whatItMayBe(id: string, { index }: NewerBackupsOptions, known: Known, runsAsked: boolean): string {
  const living = runsAsked ? '' : 'of a run that is under way, ';
  const rest = `${living}of one that ended before it published them, or ${id} has lost its manifest`;
  if (index === undefined) return `${id} is ${rest}`;
  return `${id} is ${known.backups ? `not known to the catalog: ${rest}` : rest}`;
}

/** The index knows that it was published, and no storage that answered has its manifest. */
function lost(
  { id, state, published }: IndexedBackup,
  { silent, copies }: Pick<NewerBackupsOptions, 'silent' | 'copies'>,
): string {
  const away = silent.filter(({ backend }) => published.includes(backend));
  const knows = `the catalog knows ${id} (${state}) on ${published.join(', ')}`;
  if (!copies.some(({ backend }) => published.includes(backend))) return `${knows}, which was not asked`;
  if (away.length === 0) return `${knows}, and it is not there`;
  return `${knows}, and ${away.map(({ backend, reason }) => `${backend} cannot be asked: ${reason}`).join('; ')}`;
}

function unknown({ backend, reason }: PassedOver, { silent }: Known): string {
  const neither = silent === undefined ? '' : `, and neither can the catalog: ${silent}`;
  return `whether ${backend} has a newer one is not known. It cannot be asked: ${reason}${neither}`;
}
