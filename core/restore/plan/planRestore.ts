import type { Catalog } from '../../catalog/catalog.ts';
import { usualRecovery } from '../../catalog/restores.ts';
import { sourceNamed, type Backends, type Keys } from '../../config/open.ts';
import type { Configuration, SourceConfiguration } from '../../config/schema.ts';
import { HoldfastError, isHoldfastError } from '../../errors.ts';
import type { Finding } from '../../postgres/finding.ts';
import type { Manifest } from '../../repository/manifest.ts';
import type { Spool } from '../../spool/spool.ts';
import { spoolShortage } from '../../spool/spoolShortage.ts';
import type { AskLiveRuns } from '../../sweep/liveRuns.ts';
import { backupIndex } from '../choose/backupIndex.ts';
import { chooseBackup } from '../choose/chooseBackup.ts';
import { isOfFilesAlone, partsOf, type PlanRequest, type RestoreInput, type RestorePlan } from '../flow.ts';
import { restoreMark } from '../names.ts';
import { copiesOf } from '../choose/openBackup.ts';
import { planDatabase } from './planDatabase.ts';
import { planFiles, wantedTrees } from './planFiles.ts';
import { approvalOf, planSafetyBackup, replacedIn, requireConfirmed } from './planSafety.ts';
import type { ChosenBackup } from '../run.ts';
import { shortenedFinding } from '../shortened.ts';
import { treesOf } from '../trees/treeParts.ts';

export interface PlanRestoreOptions {
  readonly request: PlanRequest;
  readonly configuration: Configuration;
  readonly backends: Pick<Backends, 'get'>;
  readonly keys: Keys;
  readonly catalog: () => Promise<Catalog>;
  readonly liveRuns: AskLiveRuns;
  readonly spool: Spool;
  /** Names of the environment variables that there are. */
  readonly environment: readonly string[];
  /** Task queue and name of this host: file trees are where they are planned. */
  readonly spoolQueue: string;
  readonly host: string;
  readonly signal?: AbortSignal | undefined;
}

/** Findings of a server with thousands of odd objects must not fill a history. */
const MOST_FINDINGS = 20;

/**
 * Looks what a restore would do and what could keep it from succeeding. Changes nothing. Throws InvalidInput for what
 * makes no sense, and what choosing and reading a backup and connecting to a server throw; everything else is a finding.
 */
export async function planRestore(options: PlanRestoreOptions): Promise<RestorePlan> {
  const { request, configuration, keys, signal } = options;
  const { id, input } = request;
  const source = sourceNamed(configuration, input.source);
  requireSense(source, input);
  const chosen = await chooseBackup({
    wish: { source: input.source, backup: input.backup, before: input.before, parts: partsWanted(source, input) },
    copies: copiesOf(options, input.backends),
    checkingKeys: await keys.checking(),
    index: backupIndex(options.catalog, options.liveRuns),
    signal,
  });
  requireSameBackup(request, chosen);
  const { manifest } = chosen;
  requireConfirmed(source, input, [...wantedTrees(source, input, treesOf(manifest)).keys()]);
  const about = { ...options, source, input, chosen, manifest, id, mark: markOf(configuration, request) };
  const planned = isOfFilesAlone(input.mode) ? undefined : await planDatabase(about);
  const files = await planFiles(about);
  const replaced = replacedIn(planned?.database, files);
  const safety = planSafetyBackup(configuration, input, replaced);
  const plan: RestorePlan = {
    id,
    source: input.source,
    mode: input.mode ?? 'new',
    backup: {
      id: manifest.id,
      tier: manifest.tier,
      kind: manifest.kind,
      startedAt: manifest.startedAt,
      sealedAt: manifest.sealedAt,
      manifestSha256: chosen.manifestSha256,
    },
    copies: chosen.copies.map(({ backend }) => backend),
    passedOver: chosen.passedOver,
    ...(chosen.newer.length > 0 && { newer: chosen.newer }),
    ...(planned && { database: planned.database }),
    ...(files && { files }),
    missingEnvironment: manifest.environment.filter((name) => !options.environment.includes(name)),
    findings: failuresFirst([
      ...indexFindings(chosen),
      ...(planned?.findings ?? []),
      ...(files?.trees ?? []).flatMap(({ findings }) => findings),
      ...safety.findings,
      ...(safety.plan ? await spoolFindings(options, manifest) : []),
    ])
      .slice(0, MOST_FINDINGS)
      .map(shortenedFinding),
    approval: approvalOf(source, input, replaced),
    ...(safety.plan && { safetyBackup: safety.plan }),
  };
  const expectedDuration = await expectation(options, plan);
  return { ...plan, ...(expectedDuration !== undefined && { expectedDuration }) };
}

/** What a look at the input and the configuration alone can tell. */
function requireSense(configured: SourceConfiguration, { source, mode = 'new', target }: RestoreInput): void {
  const { database, files } = configured;
  if (isOfFilesAlone(mode)) {
    if (Object.keys(files).length > 0) return;
    throw new HoldfastError('InvalidInput', `Source ${source} has no file trees`, {
      advice: 'Restore its database: mode new or replace.',
    });
  }
  if (!database)
    throw new HoldfastError('InvalidInput', `Source ${source} has no database`, {
      advice: `Restore its files with mode files, or beside those that are there with mode beside; or name its database under sources.${source}.database.`,
    });
  if (mode === 'replace' && target !== undefined && target !== database.name)
    throw new HoldfastError(
      'InvalidInput',
      `Mode replace puts the backup in the place of ${database.name}, not of ${target}`,
      { advice: `Leave target out, or set mode to new to restore into a new database ${target}.` },
    );
}

/** What the newest backup has to hold to be the newest that can be meant. */
function partsWanted(source: SourceConfiguration, input: RestoreInput): string[] {
  return isOfFilesAlone(input.mode) ? [...wantedTrees(source, input).keys()].slice(0, 1) : ['database'];
}

/** What was approved is what is restored. */
function requireSameBackup({ manifestSha256 }: PlanRequest, { manifest, manifestSha256: found }: ChosenBackup): void {
  if (manifestSha256 === undefined || manifestSha256 === found) return;
  throw new HoldfastError('RefusedForSafety', `The manifest of backup ${manifest.id} is not the one of the plan`, {
    advice: 'Somebody exchanged it. Verify the backup, and start the restore again.',
  });
}

function markOf({ temporal }: Configuration, { id, input }: PlanRequest): string {
  return restoreMark(temporal.taskQueue, input.source, id);
}

function indexFindings({ manifest, indexSilent }: ChosenBackup): Finding[] {
  if (indexSilent === undefined) return [];
  return [
    {
      severity: 'warning',
      type: 'CatalogUnavailable',
      message: `The catalog could not be asked whether there ever was a newer backup than ${manifest.id}: ${indexSilent}`,
      advice: 'What the storages themselves show of newer ones is said.',
    },
  ];
}

/** By what is restored: what is replaced is about as large. The backup before may go through the spool of another host. */
async function spoolFindings({ spool, host }: PlanRestoreOptions, { parts }: Manifest): Promise<Finding[]> {
  const storedBytes = parts.reduce((sum, part) => sum + part.storedBytes, 0);
  const shortage = await spoolShortage(spool, storedBytes);
  if (shortage === undefined) return [];
  const advice = 'Free space there, or point spool.path at a larger disk: what is replaced is backed up before.';
  return [{ severity: 'warning', type: 'SpoolFailed', message: `${shortage}, on ${host}`, advice }];
}

/** A restore must go well without the catalog. */
async function expectation({ request, catalog }: PlanRestoreOptions, plan: RestorePlan): Promise<number | undefined> {
  if (request.input.tables ?? request.input.paths) return undefined;
  try {
    return await usualRecovery(await catalog(), plan.source, partsOf(plan));
  } catch (error) {
    if (isHoldfastError(error, 'CatalogUnavailable')) return undefined;
    throw error;
  }
}

function failuresFirst(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'));
}
