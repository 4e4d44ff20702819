import type { BackupKind, Tier } from '../config/words.ts';
import type { ErrorType } from '../errors.ts';
import type { Manifest } from '../repository/manifest.ts';
import { noSuchBackup, OFFERED_IDS } from '../repository/noSuchBackup.ts';
import { query, type Catalog } from './catalog.ts';
import type {
  BackupState,
  CatalogedBackup,
  CopyRecord,
  CopyState,
  Problem,
  VerificationDepth,
  VerificationOutcome,
  VerificationRecord,
} from './record.ts';

export interface BackupFilter {
  readonly source?: string | undefined;
  readonly kind?: BackupKind | undefined;
  readonly tier?: Tier | undefined;
  readonly state?: BackupState | undefined;
  /** ISO 8601: only what was begun after it. */
  readonly since?: string | undefined;
  /** The newest so many. */
  readonly limit?: number | undefined;
}

/** Backups and failed runs, newest first. Throws CatalogUnavailable. */
export async function listBackups(catalog: Catalog, filter: BackupFilter = {}): Promise<CatalogedBackup[]> {
  const values: unknown[] = [];
  const conditions = (['source', 'kind', 'tier', 'state'] as const)
    .filter((column) => filter[column] !== undefined)
    .map((column) => `${column} = $${values.push(filter[column])}`);
  if (filter.since !== undefined) conditions.push(`started_at > $${values.push(filter.since)}`);
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
  const limit = filter.limit === undefined ? '' : `LIMIT $${values.push(filter.limit)}`;
  return selectBackups(catalog, `${where} ORDER BY started_at DESC, id DESC ${limit}`, values);
}

/**
 * The backup with this id, or the only one whose id begins so. Throws InvalidInput, naming the nearest ids, when there
 * is none or more than one; CatalogUnavailable.
 */
export async function findBackup(catalog: Catalog, idOrPrefix: string): Promise<CatalogedBackup> {
  const found = await selectBackups(catalog, 'WHERE starts_with(id, $1) ORDER BY id DESC LIMIT $2', [
    idOrPrefix,
    OFFERED_IDS + 1,
  ]);
  const exact = found.find((backup) => backup.id === idOrPrefix);
  const [first, second] = found;
  if (exact) return exact;
  if (first && idOrPrefix !== '' && !second) return first;
  const rows = await query<{ id: string }>(
    catalog,
    'SELECT id FROM holdfast.backups ORDER BY started_at DESC LIMIT 1000',
  );
  const known = first ? found.map(({ id }) => id) : rows.map((row) => row.id);
  throw noSuchBackup(idOrPrefix, known);
}

/** Whether the catalog knows a backup of exactly this id. Throws CatalogUnavailable. */
export async function isCataloged(catalog: Catalog, id: string): Promise<boolean> {
  return (await query(catalog, 'SELECT FROM holdfast.backups WHERE id = $1', [id])).length > 0;
}

/** The newest verified backup of a source and kind. Throws CatalogUnavailable. */
export async function lastVerified(
  catalog: Catalog,
  source: string,
  kind: BackupKind,
): Promise<CatalogedBackup | undefined> {
  const [newest] = await listBackups(catalog, { source, kind, state: 'verified', limit: 1 });
  return newest;
}

/** Every look at the copies of a backup, newest first. Throws CatalogUnavailable. */
export async function listVerifications(catalog: Catalog, backupId: string): Promise<VerificationRecord[]> {
  const rows = await query<VerificationRow>(
    catalog,
    'SELECT * FROM holdfast.verifications WHERE backup_id = $1 ORDER BY at DESC, backend',
    [backupId],
  );
  return rows.map((row) => ({
    backupId: row.backup_id,
    backend: row.backend,
    depth: row.depth,
    outcome: row.outcome,
    at: row.at.toISOString(),
    durationMs: Number(row.duration_ms),
    message: row.message ?? undefined,
  }));
}

interface BackupRow {
  id: string;
  source: string;
  kind: BackupKind;
  tier: Tier;
  plan: string | null;
  state: BackupState;
  required_copies: number;
  problem_type: ErrorType | null;
  problem_message: string | null;
  started_at: Date;
  ended_at: Date;
  original_bytes: string | null;
  compressed_bytes: string | null;
  stored_bytes: string | null;
  manifest: Manifest | null;
  manifest_sha256: string | null;
  workflow_id: string | null;
  run_id: string | null;
}

interface CopyRow {
  backup_id: string;
  backend: string;
  state: CopyState;
  problem_type: ErrorType | null;
  problem_message: string | null;
  bytes: string | null;
  uploaded_at: Date | null;
  upload_ms: string | null;
  verified_at: Date | null;
  verify_ms: string | null;
  healing_since: Date | null;
}

interface VerificationRow {
  backup_id: string;
  backend: string;
  depth: VerificationDepth;
  outcome: VerificationOutcome;
  at: Date;
  duration_ms: string;
  message: string | null;
}

async function selectBackups(catalog: Catalog, tail: string, values: readonly unknown[]): Promise<CatalogedBackup[]> {
  const backups = await query<BackupRow>(catalog, `SELECT * FROM holdfast.backups ${tail}`, values);
  const copies = await query<CopyRow>(
    catalog,
    'SELECT * FROM holdfast.copies WHERE backup_id = ANY ($1) ORDER BY backend',
    [backups.map((row) => row.id)],
  );
  const restored = await query<{ backup_id: string; at: Date }>(
    catalog,
    `SELECT backup_id, max(at) AS at FROM holdfast.verifications
      WHERE backup_id = ANY ($1) AND depth = 'restored' AND outcome = 'passed' GROUP BY backup_id`,
    [backups.map((row) => row.id)],
  );
  const restoredAt = new Map(restored.map(({ backup_id, at }) => [backup_id, at.toISOString()]));
  const byBackup = Map.groupBy(copies, (row) => row.backup_id);
  return backups.map((row) => ({
    ...backupOf(row, byBackup.get(row.id) ?? []),
    restoredAt: restoredAt.get(row.id),
  }));
}

function backupOf(row: BackupRow, copies: readonly CopyRow[]): CatalogedBackup {
  return {
    id: row.id,
    source: row.source,
    kind: row.kind,
    tier: row.tier,
    plan: row.plan ?? undefined,
    state: row.state,
    requiredCopies: row.required_copies,
    problem: problemOf(row),
    startedAt: row.started_at.toISOString(),
    endedAt: row.ended_at.toISOString(),
    originalBytes: numberOf(row.original_bytes),
    compressedBytes: numberOf(row.compressed_bytes),
    storedBytes: numberOf(row.stored_bytes),
    manifest: row.manifest ?? undefined,
    manifestSha256: row.manifest_sha256 ?? undefined,
    workflowId: row.workflow_id ?? undefined,
    runId: row.run_id ?? undefined,
    copies: copies.map(copyOf),
  };
}

function copyOf(row: CopyRow): CopyRecord {
  return {
    backend: row.backend,
    state: row.state,
    problem: problemOf(row),
    bytes: numberOf(row.bytes),
    uploadedAt: row.uploaded_at?.toISOString(),
    uploadMs: numberOf(row.upload_ms),
    verifiedAt: row.verified_at?.toISOString(),
    verifyMs: numberOf(row.verify_ms),
    healingSince: row.healing_since?.toISOString(),
  };
}

function problemOf(row: { problem_type: ErrorType | null; problem_message: string | null }): Problem | undefined {
  return row.problem_type === null || row.problem_message === null
    ? undefined
    : { type: row.problem_type, message: row.problem_message };
}

/** bigint comes as text; sizes and durations stay far below 2^53. */
function numberOf(value: string | null): number | undefined {
  return value === null ? undefined : Number(value);
}
