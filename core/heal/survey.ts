import type { Catalog } from '../catalog/catalog.ts';
import { listBackups } from '../catalog/read.ts';
import type { BackupRecord, CatalogedBackup } from '../catalog/record.ts';
import { unknownName, type Backends, type Keys } from '../config/open.ts';
import type { Configuration } from '../config/schema.ts';
import { HoldfastError, isHoldfastError, messageOf } from '../errors.ts';
import { parseBackupId } from '../repository/backupId.ts';
import { noSuchBackup } from '../repository/noSuchBackup.ts';
import { adoptUnrecorded } from './adoptBackup.ts';
import { lookAtBackend, type BackendView } from './lookAtBackend.ts';
import type { HealSurvey, SilentBackend, SurveyStep, Wound } from './run.ts';
import { judgeBackup } from './judgeBackup.ts';

export interface SurveyOptions {
  readonly step: SurveyStep;
  readonly configuration: Configuration;
  readonly backends: Backends;
  readonly keys: Keys;
  readonly catalog: () => Promise<Catalog>;
  /** When the backups that run now were begun. */
  readonly runningSince: () => Promise<readonly Date[]>;
  readonly signal: AbortSignal;
}

/** Payloads of a history stay under 100 KB. */
const WOUNDS_AT_ONCE = 100;
/** Characters of one reason, and backups named in one warning. */
const REASON_LENGTH = 300;
const NAMED_AT_MOST = 5;
/** A run shows in the list of running ones a moment after it began. Milliseconds. */
const UNSEEN_FOR = 15_000;

/**
 * Looks at every backup of a source on every backend: which copies are missing, damaged, or to be read back. The
 * manifests are the truth; the catalog says in addition where copies were meant to be, and what earlier looks found.
 * A backup whose run may still be at it is left alone; one that was published and that the catalog does not know is
 * taken into it. Throws InvalidInput for names that are not known.
 */
export async function surveySource(options: SurveyOptions): Promise<HealSurvey> {
  const { configuration, keys, signal, step } = options;
  const { input } = step;
  const names = backendsToAsk(configuration, input);
  const warnings: string[] = [];
  const cataloged = await readCatalog(options, warnings);
  for (const { backend } of cataloged?.flatMap(({ copies }) => copies) ?? []) {
    if (configuration.backends[backend]) names.add(backend);
  }
  // Asked before and after: a run that ends meanwhile published here after it was looked there.
  const begun = new Date();
  const runningBefore = await options.runningSince();
  const checkingKeys = await keys.checking();
  const views: BackendView[] = [];
  const silent: SilentBackend[] = [];
  await Promise.all(
    [...names].map(async (backend) => {
      try {
        views.push(await lookAtBackend(options.backends, backend, input.source, checkingKeys, signal));
      } catch (error) {
        signal.throwIfAborted();
        silent.push({ backend, problem: messageOf(error) });
      }
    }),
  );
  // In the plan's order, whoever answered first: what a copy is healed from is no matter of chance.
  const order = [...names];
  views.sort((left, right) => order.indexOf(left.backend) - order.indexOf(right.backend));
  const runningSince = Math.min(
    begun.getTime() - UNSEEN_FOR,
    ...[...runningBefore, ...(await options.runningSince())].map((time) => time.getTime()),
  );

  const byId = new Map<string, CatalogedBackup>(cataloged?.map((backup) => [backup.id, backup]));
  const ids = chosenIds(input.backup, views, byId, silent);
  // Its entry in the catalog is the last thing a run writes, to the second its id says when it began.
  const mayRun = (id: string) => !byId.has(id) && parseBackupId(id).time.getTime() + 1000 > runningSince;
  const inProgress = ids.filter(mayRun);
  if (inProgress.length > 0) {
    const named = inProgress.slice(0, NAMED_AT_MOST).join(', ');
    const more = inProgress.length > NAMED_AT_MOST ? ` and ${inProgress.length - NAMED_AT_MOST} more` : '';
    warnings.push(`Left alone, because their runs may still be under way: ${named}${more}.`);
  }
  const settled = ids.filter((id) => !mayRun(id));
  if (cataloged) {
    const unrecorded = settled.filter((id) => !byId.has(id));
    for (const backup of await adoptAll(options, unrecorded, views, silent, warnings)) byId.set(backup.id, backup);
  }
  const verdicts = settled.map((id) =>
    judgeBackup({ id, input, configuration, views, silent, cataloged: byId.get(id) }),
  );
  const wounds = [
    ...verdicts.flatMap((verdict) => verdict.wounds),
    ...sampleOf(
      verdicts.flatMap((verdict) => verdict.whole),
      input.sample ?? 0,
      byId,
    ),
  ];
  const page = pageOf(wounds, step.after);
  return {
    ...page,
    silent: silent
      .map(({ backend, problem }) => ({ backend, problem: cut(problem) }))
      .toSorted((a, b) => a.backend.localeCompare(b.backend)),
    lost: verdicts.flatMap(({ lost }) => lost ?? []).slice(0, WOUNDS_AT_ONCE),
    backups: ids.length,
    copies: verdicts.reduce((sum, { expected }) => sum + expected, 0),
    inProgress: inProgress.slice(0, WOUNDS_AT_ONCE),
    warnings,
    patience: configuration.maintenance.healPatience,
  };
}

function backendsToAsk(configuration: Configuration, input: SurveyStep['input']): Set<string> {
  if (!configuration.sources[input.source]) {
    throw unknownName('source', input.source, Object.keys(configuration.sources));
  }
  for (const backend of input.backends ?? []) {
    if (!configuration.backends[backend]) throw unknownName('backend', backend, Object.keys(configuration.backends));
  }
  const plans = Object.values(configuration.plans).filter(({ source }) => source === input.source);
  return new Set([...plans.flatMap(({ backends }) => backends), ...(input.backends ?? [])]);
}

async function readCatalog({ step, catalog }: SurveyOptions, warnings: string[]) {
  try {
    return await listBackups(await catalog(), { source: step.input.source });
  } catch (error) {
    if (!isHoldfastError(error, 'CatalogUnavailable')) throw error;
    warnings.push(`${error.message}; what copies there should be was taken from the plans.`);
    return undefined;
  }
}

/** Takes those that were published and never recorded into the catalog, and says which. */
async function adoptAll(
  { configuration, catalog }: SurveyOptions,
  ids: readonly string[],
  views: readonly BackendView[],
  silent: readonly SilentBackend[],
  warnings: string[],
): Promise<BackupRecord[]> {
  const adopted: BackupRecord[] = [];
  try {
    for (const id of ids) {
      const record = await adoptUnrecorded(await catalog(), { id, configuration, views, silent });
      if (record) adopted.push(record);
    }
  } catch (error) {
    if (!isHoldfastError(error, 'CatalogUnavailable')) throw error;
    warnings.push(`${error.message}; what it does not know yet is taken into it the next time.`);
  }
  if (adopted.length > 0) {
    const named = adopted.slice(0, NAMED_AT_MOST).map(({ id }) => id);
    const more = adopted.length > NAMED_AT_MOST ? ` and ${adopted.length - NAMED_AT_MOST} more` : '';
    warnings.push(`Taken into the catalog, which their runs did not come to do: ${named.join(', ')}${more}.`);
  }
  return adopted;
}

/** Newest first. A backup counts that some backend has a manifest of, right or not, or that the catalog still counts on. */
function chosenIds(
  wanted: string | undefined,
  views: readonly BackendView[],
  cataloged: ReadonlyMap<string, CatalogedBackup>,
  silent: readonly SilentBackend[],
): string[] {
  const seen = views.flatMap(({ folders }) =>
    [...folders.values()].filter(({ read, problem }) => read || problem).map(({ location }) => location.backup),
  );
  const counted = [...cataloged.values()].filter(({ state }) => state !== 'failed').map(({ id }) => id);
  const all = [...new Set([...seen, ...counted])].toSorted((a, b) => b.localeCompare(a));
  if (wanted === undefined) return all;
  const fitting = all.filter((id) => id.startsWith(wanted));
  const exact = fitting.filter((id) => id === wanted);
  const [only, second] = exact.length > 0 ? exact : fitting;
  if (only !== undefined && second === undefined) return [only];
  const known = [...new Set([...all, ...cataloged.keys()])];
  const error = noSuchBackup(wanted, known);
  if (silent.length === 0 || fitting.length > 0) throw error;
  const away = silent.map(({ backend }) => backend).join(', ');
  throw new HoldfastError('BackendUnreachable', `${error.message} on the backends that answer; ${away} did not.`);
}

/** Those that were read back longest ago, or never. */
function sampleOf(
  whole: readonly Wound[],
  count: number,
  cataloged: ReadonlyMap<string, CatalogedBackup>,
): readonly Wound[] {
  const lastRead = ({ location, backend }: Wound) =>
    cataloged.get(location.backup)?.copies.find((copy) => copy.backend === backend)?.verifiedAt ?? '';
  return whole.toSorted((a, b) => lastRead(a).localeCompare(lastRead(b))).slice(0, count);
}

function pageOf(wounds: readonly Wound[], after: SurveyStep['after']): Pick<HealSurvey, 'wounds' | 'next'> {
  const start = after
    ? wounds.findIndex(({ location, backend }) => location.backup === after.backup && backend === after.backend) + 1
    : 0;
  const page = wounds.slice(start, start + WOUNDS_AT_ONCE);
  const last = page.at(-1);
  const more = start + page.length < wounds.length;
  return {
    wounds: page.map((wound) => ({
      ...wound,
      reason: cut(wound.reason),
      ...(wound.away && { away: cut(wound.away) }),
    })),
    ...(more && last && { next: { backup: last.location.backup, backend: last.backend } }),
  };
}

function cut(text: string): string {
  return text.length <= REASON_LENGTH ? text : `${text.slice(0, REASON_LENGTH)}...`;
}
