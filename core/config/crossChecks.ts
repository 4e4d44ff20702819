import type { CheckableConfiguration, PlanReferences, Findings } from './checkable.ts';
import { checkBackends, checkPlaces } from './backendChecks.ts';
import type { Finding } from './issue.ts';
import { checkSpoolLimit } from './spoolChecks.ts';
import { didYouMean } from './nearest.ts';
import type { KeyConfiguration, PlanConfiguration, SourceConfiguration } from './schema.ts';

/** What one entry alone cannot show: names that must exist, places that must not overlap, keys that must be enough. */
export function crossCheck(configuration: CheckableConfiguration): Findings {
  const { backends, keys, plans, sources } = configuration;
  return join([
    checkBackends(backends),
    checkPlaces(configuration),
    checkSpoolLimit(configuration),
    checkKeys(keys, Object.keys(plans).length > 0),
    ...Object.entries(sources).map(([name, source]) => checkSource(name, source)),
    checkUse(configuration),
    ...Object.entries(configuration.references).map(([name, plan]) => checkReferences(name, plan, configuration)),
    ...Object.entries(plans).map(([name, plan]) => checkPlan(name, plan, configuration)),
  ]);
}

export function join(all: readonly Partial<Findings>[]): Findings {
  return {
    errors: all.flatMap(({ errors }) => errors ?? []),
    warnings: all.flatMap(({ warnings }) => warnings ?? []),
  };
}

function checkKeys(keys: Readonly<Record<string, KeyConfiguration>>, signingNeeded: boolean): Findings {
  const ed25519 = Object.entries(keys).flatMap(([name, key]) => (key.type === 'ed25519' ? [{ name, key }] : []));
  const empty = ed25519.filter(({ key }) => key.privateKey === undefined && key.publicKey === undefined);
  const signing = ed25519.filter(({ key }) => key.privateKey !== undefined).map(({ name }) => name);
  const errors: Finding[] = empty.map(({ name }) => ({
    path: ['keys', name],
    message: 'expected a privateKey to sign with, or a publicKey to check with',
  }));
  if (signing.length > 1) {
    const message = `expected one signing key, found ${signing.join(', ')}; keep only the publicKey of those that no longer sign`;
    errors.push({ path: ['keys'], message });
  }
  if (signing.length === 0 && signingNeeded) {
    const message =
      'expected an ed25519 key with a privateKey to sign manifests; `holdfast keys generate sign --type ed25519` makes one';
    errors.push({ path: ['keys'], message });
  }
  return { errors, warnings: [] };
}

/** Parts of a database backup; a tree of that name would write the same objects. */
const RESERVED_TREE_NAMES = /^(database|schema|globals|inventory|rows-\d+|tenant|manifest|full)$/;

function checkSource(name: string, source: SourceConfiguration): Partial<Findings> {
  const reserved = Object.keys(source.files).filter((tree) => RESERVED_TREE_NAMES.test(tree));
  return {
    errors: reserved.map((tree) => ({
      path: ['sources', name, 'files', tree],
      message: `${tree} is the name of a part of its own; choose another name for this tree`,
    })),
  };
}

function checkUse({ sources, references }: CheckableConfiguration): Partial<Findings> {
  const planned = Object.values(references).map((plan) => plan.source);
  // A plan that names no source rightly may have meant any of them.
  if (planned.some((source) => source === undefined || sources[source] === undefined)) return {};
  const forgotten = Object.keys(sources).filter((name) => !planned.includes(name));
  return {
    warnings: forgotten.map((name) => ({ path: ['sources', name], message: 'no plan backs up this source' })),
  };
}

function checkReferences(name: string, plan: PlanReferences, { names }: CheckableConfiguration): Findings {
  return join([
    plan.source === undefined ? {} : checkName(plan.source, names.sources, 'source', ['plans', name, 'source']),
    ...checkNames(plan.backends ?? [], names.backends, 'backend', ['plans', name, 'backends']),
    ...checkNames(plan.encryptTo ?? [], names.keys, 'key', ['plans', name, 'encryptTo']),
  ]);
}

function checkPlan(name: string, plan: PlanConfiguration, { keys, sources }: CheckableConfiguration): Findings {
  const source = sources[plan.source];
  return join([
    checkRecipients(plan, keys, ['plans', name, 'encryptTo']),
    checkCopies(plan, ['plans', name, 'copies', 'required']),
    source === undefined ? {} : checkKind(plan, source, ['plans', name, 'kind']),
  ]);
}

function checkName(name: string, known: readonly string[], what: string, path: Finding['path']): Partial<Findings> {
  if (known.includes(name)) return {};
  const there = known.length === 0 ? `there is no ${what} at all` : `expected one of ${known.join(', ')}`;
  return { errors: [{ path, message: `there is no ${what} ${name}; ${there}${didYouMean(name, known)}` }] };
}

function checkNames(
  chosen: readonly string[],
  known: readonly string[],
  what: string,
  path: Finding['path'],
): Partial<Findings>[] {
  return chosen.map((name, index) => {
    const repeated = chosen.indexOf(name) !== index;
    if (repeated) return { errors: [{ path: [...path, index], message: `${what} ${name} stands here twice` }] };
    return checkName(name, known, what, [...path, index]);
  });
}

function checkRecipients(
  plan: PlanConfiguration,
  keys: Readonly<Record<string, KeyConfiguration>>,
  path: Finding['path'],
): Findings {
  const errors = plan.encryptTo.flatMap((name, index) =>
    keys[name]?.type === 'ed25519'
      ? [
          {
            path: [...path, index],
            message: `${name} is a signing key and cannot seal; name an aes-256, rsa or kms key`,
          },
        ]
      : [],
  );
  const known = plan.encryptTo.flatMap((name) => keys[name] ?? []);
  if (known.length < plan.encryptTo.length || errors.length > 0) return { errors, warnings: [] };
  const warnings: Finding[] = [];
  if (known.length === 1) {
    const message =
      'one key alone opens these backups, and all are lost with it; add an escrow key that is kept elsewhere';
    warnings.push({ path, message });
  }
  if (known.every((key) => key.type === 'rsa' && key.privateKey === undefined)) {
    const message =
      'none of these keys can open here, so that a backup of this plan can be stored but not proven on this host';
    warnings.push({ path, message });
  }
  return { errors, warnings };
}

function checkCopies(plan: PlanConfiguration, path: Finding['path']): Partial<Findings> {
  const count = plan.backends.length;
  if (plan.copies.required <= count) return {};
  return { errors: [{ path, message: `expected at most ${count}, the number of this plan's backends` }] };
}

function checkKind(plan: PlanConfiguration, source: SourceConfiguration, path: Finding['path']): Partial<Findings> {
  const { kind } = plan;
  if (kind === 'full') return {};
  if (kind === 'database') {
    if (source.database !== undefined) return {};
    return { errors: [{ path, message: `source ${plan.source} has no database` }] };
  }
  if (source.files[kind] !== undefined) return {};
  return { errors: [{ path, message: `source ${plan.source} has no file tree ${kind}` }] };
}
