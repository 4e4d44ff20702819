import { includesDatabase } from '../../backup/scope.ts';
import type { Configuration, SourceConfiguration } from '../../config/schema.ts';
import { BACKUP_KINDS, type BackupKind } from '../../config/words.ts';
import { HoldfastError } from '../../errors.ts';
import type { Finding } from '../../postgres/finding.ts';
import {
  isInPlace,
  type PlannedApproval,
  type PlannedDatabase,
  type PlannedFiles,
  type RestoreInput,
  type RestorePlan,
} from '../flow.ts';

/** What makes way for what is restored. */
export interface Replaced {
  readonly database?: string;
  /** Names of trees that are there, whole or some files of them. */
  readonly trees: readonly string[];
  /** Those of which all makes way. */
  readonly wholeTrees: readonly string[];
}

export function replacedIn(database?: PlannedDatabase, files?: PlannedFiles): Replaced {
  const trees = (files?.trees ?? []).filter(({ keptAs }) => keptAs.length > 0);
  return {
    ...(database?.replaces && { database: database.replaces.name }),
    trees: trees.map(({ tree }) => tree),
    wholeTrees: trees.filter(({ place }) => place.paths === undefined).map(({ tree }) => tree),
  };
}

/**
 * What `confirm` has to be, before anything was looked at: the name of the source's database, or in mode `files` the
 * names of the trees. Throws InvalidInput for another one.
 */
export function requireConfirmed(
  { database }: SourceConfiguration,
  input: RestoreInput,
  trees: readonly string[],
): void {
  const { mode = 'new', confirm, target } = input;
  if (confirm === undefined) return;
  if (!isInPlace(mode)) {
    if (confirm === target) return;
    throw invalid(
      `confirm names ${confirm}, and mode ${mode} replaces nothing`,
      `Leave it out, or, to replace ${confirm}, set mode to replace or files.`,
    );
  }
  const right = mode === 'files' ? sorted(trees) : (database?.name ?? '');
  if ((mode === 'files' ? sorted(confirm.split(',')) : confirm) === right) return;
  throw invalid(
    `confirm names ${confirm}, but what is replaced is ${mode === 'files' ? 'the files of' : 'database'} ${right}`,
    `Look twice. If that is meant: confirm set to "${right}".`,
  );
}

export function approvalOf({ restore }: SourceConfiguration, input: RestoreInput, replaced: Replaced): PlannedApproval {
  const { timeout } = restore;
  if (restore.approval === 'required')
    return { needed: true, why: `Every restore of ${input.source} has to be approved.`, timeout };
  const names = [
    ...(replaced.database === undefined ? [] : [`database ${replaced.database}`]),
    ...replaced.trees.map((tree) => `files of ${tree}`),
  ].join(' and ');
  if (names === '') return { needed: false, why: 'Nothing is replaced.', timeout };
  return input.confirm === undefined
    ? { needed: true, why: `It replaces ${names}, and confirm does not say so.`, timeout }
    : { needed: false, why: `It was confirmed that it replaces ${names}.`, timeout };
}

/** The backup of what is replaced. Single files are kept beside those that take their place, and that is enough. */
export function planSafetyBackup(
  { plans }: Configuration,
  { source, safetyBackup = 'required' }: RestoreInput,
  { database, wholeTrees }: Replaced,
): { plan?: RestorePlan['safetyBackup']; findings: Finding[] } {
  if (database === undefined && wholeTrees.length === 0) return { findings: [] };
  if (safetyBackup === 'skip')
    return { findings: [finding('warning', 'what is replaced is not backed up before', 'It is kept, as it is.')] };
  const own = Object.entries(plans).filter(([, plan]) => plan.source === source);
  const [plan] = own.find(([, { kind }]) => includesDatabase(kind)) ?? own[0] ?? [];
  if (plan !== undefined) return { plan: { plan, kind: kindOf(database, wholeTrees) }, findings: [] };
  const advice = 'Add one under plans in holdfast.yaml, or do without it: safetyBackup set to skip.';
  return { findings: [finding('failure', `${source} has no plan to back up what is replaced`, advice)] };
}

/** No more than is replaced, as far as there is a kind for it. */
function kindOf(database: string | undefined, [tree, another]: readonly string[]): BackupKind {
  if (tree === undefined) return 'database';
  const only = database === undefined && another === undefined;
  return (only ? BACKUP_KINDS.find((kind) => kind === tree && kind !== 'database') : undefined) ?? 'full';
}

function sorted(names: readonly string[]): string {
  return names
    .map((name) => name.trim())
    .toSorted()
    .join(',');
}

function finding(severity: Finding['severity'], message: string, advice: string): Finding {
  return { severity, type: 'RefusedForSafety', message, advice };
}

function invalid(message: string, advice: string): HoldfastError {
  return new HoldfastError('InvalidInput', message, { advice });
}
