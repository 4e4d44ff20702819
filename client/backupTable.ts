import type { CatalogedBackup, CopyRecord } from '../core/catalog/record.ts';
import type { Repository } from '../core/repository/listRepository.ts';
import type { Manifest } from '../core/repository/manifest.ts';
import { formatAge, formatBytes, formatRatio } from '../core/format.ts';
import type { Style, Terminal } from './terminal.ts';

const HEAD = ['ID', 'SOURCE', 'KIND', 'TIER', 'STATE', 'AGE', 'SIZE', 'RATIO', 'RESTORED', 'COPIES'];

const STATE_STYLES: Readonly<Record<string, Style>> = {
  verified: 'green',
  degraded: 'yellow',
  failed: 'red',
  damaged: 'red',
  missing: 'red',
};

/** Colours the name of a state. */
export function paintState(terminal: Terminal, state: string): string {
  const style = STATE_STYLES[state];
  return style ? terminal.paint(style, state) : state;
}

/** The state of a backup, and whether somebody is making it a better one. */
export function describeState(terminal: Terminal, { state, copies }: CatalogedBackup): string {
  const healing = copies.some(({ healingSince }) => healingSince !== undefined);
  return `${paintState(terminal, state)}${healing ? ' (healing)' : ''}`;
}

/** E.g. `missing (healing)`. */
export function describeCopyState({ state, healingSince }: CopyRecord): string {
  return healingSince === undefined ? state : `${state} (healing)`;
}

/** Backups of the catalog; under the table, why each failed one failed. */
export function describeCatalogList(
  terminal: Terminal,
  backups: readonly CatalogedBackup[],
  warnings: readonly string[] = [],
): string {
  if (backups.length === 0) return 'No backup yet.';
  const rows = backups.map((backup) => [
    backup.id,
    backup.source,
    backup.kind,
    backup.tier,
    describeState(terminal, backup),
    formatAge(backup.startedAt, new Date()),
    formatBytes(backup.storedBytes),
    formatRatio(backup.originalBytes, backup.storedBytes),
    // When a drill last recovered all of it.
    backup.restoredAt === undefined ? '-' : `${formatAge(backup.restoredAt, new Date())} ago`,
    backup.copies.map((copy) => `${copy.backend} ${describeCopyState(copy)}`).join(', ') || '-',
  ]);
  const reasons = backups.flatMap((backup) =>
    backup.problem ? [`${backup.id} ${backup.state}: ${backup.problem.message}`] : [],
  );
  return sections(terminal.table(HEAD, rows), [...reasons, ...warnings]);
}

/** Backups as they lie on one backend. What they are worth is not known until they are verified: the state is `stored`. */
export function describeRepository(terminal: Terminal, backend: string, repository: Repository): string {
  const { backups, problems } = repository;
  const rows = backups.map(({ manifest }) => [
    manifest.id,
    manifest.source,
    manifest.kind,
    manifest.tier,
    'stored',
    formatAge(manifest.startedAt, new Date()),
    formatBytes(sumOf(manifest, 'storedBytes')),
    formatRatio(sumOf(manifest, 'originalBytes'), sumOf(manifest, 'storedBytes')),
    '-',
    backend,
  ]);
  const table = rows.length === 0 ? `No readable backup on ${backend}.` : terminal.table(HEAD, rows);
  return sections(
    table,
    problems.map(({ problem }) => problem.message),
  );
}

/** The `--json` form of the same. */
export function repositoryDocument(backend: string, repository: Repository): unknown {
  return {
    backend,
    backups: repository.backups,
    problems: repository.problems.map(({ key, problem }) => ({ key, type: problem.type, message: problem.message })),
  };
}

export function sumOf(manifest: Manifest, field: 'originalBytes' | 'compressedBytes' | 'storedBytes'): number {
  return manifest.parts.reduce((sum, part) => sum + part[field], 0);
}

function sections(table: string, remarks: readonly string[]): string {
  return remarks.length === 0 ? table : [table, '', ...remarks].join('\n');
}
