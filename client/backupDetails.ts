import type { CatalogedBackup, CopyRecord, VerificationRecord } from '../core/catalog/record.ts';
import type { Manifest, ManifestPart } from '../core/repository/manifest.ts';
import type { RestoreRecord } from '../core/catalog/restores.ts';
import { describeState, paintState, sumOf } from './backupTable.ts';
import { formatBytes, formatDuration, formatRatio } from '../core/format.ts';
import { describeRestores } from './restoreHistory.ts';
import type { Terminal } from './terminal.ts';

type Field = readonly [string, string | undefined];

/** A backup as the catalog knows it: the run, its copies, what was verified, and the manifest. */
export function describeCataloged(
  terminal: Terminal,
  backup: CatalogedBackup,
  verifications: readonly VerificationRecord[],
  restores: readonly RestoreRecord[] = [],
): string {
  const run = fields([
    ['backup', backup.id],
    ['state', describeState(terminal, backup)],
    ['reason', backup.problem?.message],
    ['started', backup.startedAt],
    ['ended', backup.endedAt],
    ['restored', backup.restoredAt],
    ['took', formatDuration(Date.parse(backup.endedAt) - Date.parse(backup.startedAt))],
    ['workflow', backup.workflowId && `${backup.workflowId} (run ${backup.runId ?? 'unknown'})`],
  ]);
  const { manifest } = backup;
  const what = manifest ? manifestSections(terminal, manifest) : [fields(identity(backup))];
  const recovered = restores.length === 0 ? '' : describeRestores(restores, terminal);
  return [run, copies(terminal, backup.copies), looks(terminal, verifications), recovered, ...what]
    .filter((section) => section !== '')
    .join('\n\n');
}

/** A backup as its manifest says. */
export function describeManifest(terminal: Terminal, manifest: Manifest): string {
  const head = fields([
    ['backup', manifest.id],
    ['started', manifest.startedAt],
  ]);
  return [head, ...manifestSections(terminal, manifest)].join('\n\n');
}

function manifestSections(terminal: Terminal, manifest: Manifest): string[] {
  const { database } = manifest;
  const original = sumOf(manifest, 'originalBytes');
  const stored = sumOf(manifest, 'storedBytes');
  const facts = fields([
    ...identity(manifest),
    ['sealed', manifest.sealedAt],
    [
      'size',
      `${formatBytes(stored)} stored, ${formatBytes(original)} original, ratio ${formatRatio(original, stored)}`,
    ],
    ['database', database && `${database.name}, ${formatBytes(database.bytes)}, ${database.encoding}`],
    ['server', database?.serverVersion],
    ['client', database?.clientVersion],
    ['system id', database?.systemIdentifier],
    ['inventory', database?.inventory],
    ['environment', manifest.environment.join(', ') || undefined],
    ['opens with', [...new Set(manifest.parts.flatMap((part) => part.keyIds))].join(', ')],
    ['holdfast', manifest.holdfastVersion],
  ]);
  const remarks = [...manifest.warnings, ...manifest.parts.flatMap(treeRemarks)].map((text) => `warning: ${text}`);
  return [facts, parts(terminal, manifest), remarks.join('\n')].filter((section) => section !== '');
}

function identity(of: Pick<Manifest, 'source' | 'kind' | 'tier' | 'plan'>): Field[] {
  return [
    ['source', of.source],
    ['kind', of.kind],
    ['tier', of.tier],
    ['plan', of.plan],
  ];
}

function parts(terminal: Terminal, manifest: Manifest): string {
  const rows = manifest.parts.map((part) => [
    part.part,
    part.format,
    `${part.compression.type} ${part.compression.level}`,
    formatBytes(part.originalBytes),
    formatBytes(part.compressedBytes),
    formatBytes(part.storedBytes),
    part.ratio,
    String(part.objects.length),
    formatDuration(Date.parse(part.endedAt) - Date.parse(part.startedAt)),
    part.sha256,
  ]);
  const head = ['PART', 'FORMAT', 'PACKED', 'ORIGINAL', 'COMPRESSED', 'STORED', 'RATIO', 'OBJECTS', 'TOOK', 'SHA-256'];
  return terminal.table(head, rows);
}

function treeRemarks({ part, tree }: ManifestPart): string[] {
  if (!tree) return [];
  const kinds = {
    changed: tree.changed,
    vanished: tree.vanished,
    unreadable: tree.unreadable,
    skipped: tree.skipped,
    'with too long paths to be restored': tree.longPaths,
  };
  return Object.entries(kinds).flatMap(([kind, list]) => {
    const { count, paths } = list ?? { count: 0, paths: [] };
    const more = count > paths.length ? `, and ${count - paths.length} more` : '';
    return count === 0 ? [] : [`${part}: ${count} ${kind}: ${paths.join(', ')}${more}`];
  });
}

function copies(terminal: Terminal, records: readonly CopyRecord[]): string {
  if (records.length === 0) return 'No copy was stored.';
  const rows = records.map((copy) => [
    copy.backend,
    `${paintState(terminal, copy.state)}${copy.healingSince === undefined ? '' : ` (healing since ${copy.healingSince})`}`,
    formatBytes(copy.bytes),
    copy.uploadedAt ?? '-',
    formatDuration(copy.uploadMs),
    copy.verifiedAt ?? '-',
    formatDuration(copy.verifyMs),
    copy.problem?.message ?? '',
  ]);
  const head = ['COPY ON', 'STATE', 'SIZE', 'UPLOADED', 'TOOK', 'VERIFIED', 'TOOK', 'PROBLEM'];
  return terminal.table(head, rows);
}

function looks(terminal: Terminal, records: readonly VerificationRecord[]): string {
  if (records.length === 0) return '';
  const rows = records.map((look) => [
    look.at,
    look.backend,
    look.depth,
    look.outcome,
    formatDuration(look.durationMs),
    look.message ?? '',
  ]);
  return terminal.table(['VERIFIED AT', 'BACKEND', 'DEPTH', 'OUTCOME', 'TOOK', 'WHAT'], rows);
}

function fields(all: readonly Field[]): string {
  const known = all.filter((field): field is readonly [string, string] => field[1] !== undefined && field[1] !== '');
  return known.map(([name, value]) => `${name.padEnd(12)}${value}`).join('\n');
}
