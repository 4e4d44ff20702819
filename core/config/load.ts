import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { codeOf, HoldfastError, messageOf } from '../errors.ts';
import { z } from 'zod';
import { crossCheck } from './crossChecks.ts';
import type { CheckableConfiguration, PlanReferences } from './checkable.ts';
import { formatIssue, formatPath, type ConfigurationIssue, type Finding } from './issue.ts';
import { resolvePaths } from './paths.ts';
import { configurationSchema, type Configuration } from './schema.ts';
import { shapeFindings } from './shapeFindings.ts';
import { readYaml, type YamlSource } from './yamlSource.ts';

/** A configuration that can be used: every check passed, every path absolute. */
export interface LoadedConfiguration {
  /** Absolute path of the file it came from. */
  readonly path: string;
  readonly configuration: Configuration;
  /** What is allowed but doubtful. */
  readonly warnings: readonly ConfigurationIssue[];
}

/** What a file holds, right or wrong. `configuration` is there if and only if `errors` is empty. */
export interface CheckedConfiguration {
  readonly path: string;
  readonly configuration?: Configuration;
  readonly errors: readonly ConfigurationIssue[];
  readonly warnings: readonly ConfigurationIssue[];
}

/**
 * Which file to read: the one asked for, else the one HOLDFAST_CONFIG names, else ./holdfast.yaml. Gives an absolute
 * path; the file may be missing.
 */
export function configurationPath(asked: string | undefined, environment: NodeJS.ProcessEnv = process.env): string {
  const named = environment['HOLDFAST_CONFIG'];
  return resolve(asked ?? (named === undefined || named === '' ? 'holdfast.yaml' : named));
}

/**
 * Reads and checks holdfast.yaml. Rejects with `InvalidConfiguration` that lists everything that is wrong, each with its
 * line, its path and what was expected.
 */
export async function loadConfiguration(path: string): Promise<LoadedConfiguration> {
  const { configuration, errors, warnings } = await checkConfiguration(path);
  if (configuration === undefined) throw unusable(path, errors);
  return { path, configuration, warnings };
}

/** Reads and checks holdfast.yaml and lists what is wrong. Rejects only if the file cannot be read at all. */
export async function checkConfiguration(path: string): Promise<CheckedConfiguration> {
  return { path, ...checkText(await readText(path), dirname(path)) };
}

export function unusable(path: string, errors: readonly ConfigurationIssue[]): HoldfastError {
  const count = errors.length === 1 ? '1 mistake' : `${errors.length} mistakes`;
  const list = errors.map((issue) => `\n  ${formatIssue(issue)}`).join('');
  return new HoldfastError('InvalidConfiguration', `${path} has ${count}:${list}`, {
    advice: 'Mend them, then run `holdfast config check`. docs/configuration.md describes every key.',
  });
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const missing = codeOf(cause) === 'ENOENT';
    const message = missing ? `there is no configuration at ${path}` : `${path} cannot be read: ${messageOf(cause)}`;
    const advice = missing
      ? 'Run `holdfast init` to write one, or name one with --config or HOLDFAST_CONFIG.'
      : 'Check its permissions, or name another with --config.';
    throw new HoldfastError('InvalidConfiguration', message, { advice, cause });
  }
}

/** Checks the text of a holdfast.yaml that lies in `directory`. */
export function checkText(text: string, directory: string): Omit<CheckedConfiguration, 'path'> {
  const yaml = readYaml(text);
  if (yaml.findings.length > 0) return { errors: withLines(yaml.findings, yaml), warnings: [] };
  const { data } = yaml;
  if (!isMap(data)) {
    const message = data === null ? 'the file is empty' : 'expected a map of keys such as catalog, keys, backends';
    return { errors: [{ path: '', message }], warnings: [] };
  }
  const parsed = configurationSchema.safeParse(data);
  const shapeErrors = parsed.success ? [] : shapeFindings(parsed.error.issues, data);
  const cross = crossCheck(resolvePaths(checkable(data), directory));
  const errors = [...shapeErrors, ...cross.errors];
  const found = {
    errors: withLines(errors, yaml).toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0)),
    warnings: withLines(cross.warnings, yaml),
  };
  return parsed.success && errors.length === 0
    ? { configuration: resolvePaths(parsed.data, directory), ...found }
    : found;
}

function withLines(findings: readonly (Finding & { line?: number })[], yaml: YamlSource): ConfigurationIssue[] {
  return findings.map(({ path, message, line = yaml.lineOf(path) }) => ({
    path: formatPath(path),
    ...(line === undefined ? {} : { line }),
    message,
  }));
}

/** Takes every entry that is right by itself, so that the checks across entries run whatever else is wrong. */
function checkable(data: Record<string, unknown>): CheckableConfiguration {
  const { keys, backends, sources, plans, spool } = configurationSchema.shape;
  const parsedSpool = spool.safeParse(data['spool']);
  return {
    spool: parsedSpool.success ? parsedSpool.data : undefined,
    keys: rightEntries(data['keys'], keys.valueType),
    backends: rightEntries(data['backends'], backends.valueType),
    sources: rightEntries(data['sources'], sources.valueType),
    plans: rightEntries(data['plans'], plans.unwrap().valueType),
    references: referencesIn(data['plans']),
    names: {
      keys: namesIn(data['keys']),
      backends: namesIn(data['backends']),
      sources: namesIn(data['sources']),
    },
  };
}

interface EntrySchema<Entry> {
  safeParse(value: unknown): { success: true; data: Entry } | { success: false };
}

function rightEntries<Entry>(section: unknown, schema: EntrySchema<Entry>): Record<string, Entry> {
  const entries = isMap(section) ? Object.entries(section) : [];
  return Object.fromEntries(
    entries.flatMap(([name, value]) => {
      const parsed = schema.safeParse(value);
      return parsed.success ? [[name, parsed.data] as const] : [];
    }),
  );
}

/** The names in every plan that can be read, whatever else is wrong with it. */
function referencesIn(section: unknown): Record<string, PlanReferences> {
  const { source, backends, encryptTo } = configurationSchema.shape.plans.unwrap().valueType.shape;
  const schema = z.object({
    source: source.optional().catch(undefined),
    backends: backends.optional().catch(undefined),
    encryptTo: encryptTo.optional().catch(undefined),
  });
  return rightEntries(section, schema);
}

function namesIn(section: unknown): string[] {
  return isMap(section) ? Object.keys(section) : [];
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
