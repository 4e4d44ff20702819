import type { ErrorType } from '../errors.ts';
import { query, type Catalog } from './catalog.ts';
import type { Problem } from './record.ts';

export type RestoreKind = 'restore' | 'drill';

/** `refused`: before anything changed. `aborted`: somebody ended it, or nobody approved it in time. */
export type RestoreOutcome = 'succeeded' | 'failed' | 'refused' | 'aborted';

/** One run of a restore or a drill. Times are ISO 8601 in UTC, sizes bytes, durations milliseconds. */
export interface RestoreRecord {
  readonly workflowId: string;
  readonly runId: string;
  readonly kind: RestoreKind;
  /** Of a restore: `new`, `replace`, `files`. */
  readonly mode?: string | undefined;
  readonly source: string;
  /** As far as the run came: the backup that was chosen, and the storage it was read from. */
  readonly backup?: string | undefined;
  readonly backend?: string | undefined;
  /** What was restored: `database` and names of file trees. */
  readonly parts: readonly string[];
  /** Only some tables or files of them. */
  readonly partial: boolean;
  /** Name of the database, where there is one. */
  readonly target?: string | undefined;
  readonly outcome: RestoreOutcome;
  readonly problem?: Problem | undefined;
  readonly startedAt: string;
  readonly endedAt: string;
  /** The time to recover: without waiting for approval, the safety backup and what only a drill does. */
  readonly recovery?: number | undefined;
  /** What took how long, by any name, e.g. `rows`. */
  readonly phases: Readonly<Record<string, number>>;
  /** Uncompressed bytes that were restored. */
  readonly bytes?: number | undefined;
  /** Of the reconciliation, where the run came so far. */
  readonly differenceCount?: number | undefined;
}

export interface RestoreFilter {
  readonly source?: string | undefined;
  readonly kind?: RestoreKind | undefined;
  readonly backup?: string | undefined;
  readonly outcome?: RestoreOutcome | undefined;
  /** The newest so many. */
  readonly limit: number;
}

/** Keeps what a restore or a drill came to. Repeating it with the same record changes nothing. Throws CatalogUnavailable. */
export async function recordRestore(catalog: Catalog, record: RestoreRecord): Promise<void> {
  const row = rowOf(record);
  const columns = Object.keys(row);
  const changes = columns.map((column) => `${column} = excluded.${column}`);
  await query(
    catalog,
    `INSERT INTO holdfast.restores (${columns.join(', ')}) VALUES (${columns.map((_, index) => `$${index + 1}`).join(', ')})
     ON CONFLICT (workflow_id, run_id) DO UPDATE SET ${changes.join(', ')}`,
    Object.values(row),
  );
}

/** Restores and drills, newest first. Throws CatalogUnavailable. */
export async function recentRestores(catalog: Catalog, filter: RestoreFilter): Promise<RestoreRecord[]> {
  const values: unknown[] = [];
  const conditions = (['source', 'kind', 'backup', 'outcome'] as const)
    .filter((field) => filter[field] !== undefined)
    .map((field) => `${field === 'backup' ? 'backup_id' : field} = $${values.push(filter[field])}`);
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
  const rows = await query<RestoreRow>(
    catalog,
    `SELECT * FROM holdfast.restores ${where} ORDER BY started_at DESC, run_id DESC LIMIT $${values.push(filter.limit)}`,
    values,
  );
  return rows.map(recordOf);
}

/**
 * How long it usually takes to recover these parts of a source: the median of the last ten restores and drills of exactly
 * them that succeeded, in milliseconds. Undefined where there was none. Throws CatalogUnavailable.
 */
export async function usualRecovery(
  catalog: Catalog,
  source: string,
  parts: readonly string[],
): Promise<number | undefined> {
  const [found] = await query<{ median: number | null }>(
    catalog,
    `SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY recovery_ms) AS median
       FROM (SELECT recovery_ms FROM holdfast.restores
              WHERE source = $1 AND parts = $2::text[] AND NOT partial AND outcome = 'succeeded' AND recovery_ms IS NOT NULL
              ORDER BY started_at DESC LIMIT ${RECENT}) AS recent`,
    [source, parts.toSorted()],
  );
  const median = found?.median ?? undefined;
  return median === undefined ? undefined : Math.round(median);
}

const RECENT = 10;

interface RestoreRow {
  workflow_id: string;
  run_id: string;
  kind: RestoreKind;
  mode: string | null;
  source: string;
  backup_id: string | null;
  backend: string | null;
  parts: string[];
  partial: boolean;
  target: string | null;
  outcome: RestoreOutcome;
  problem_type: ErrorType | null;
  problem_message: string | null;
  started_at: Date;
  ended_at: Date;
  recovery_ms: string | null;
  phases: Record<string, number>;
  bytes: string | null;
  difference_count: number | null;
}

function rowOf(record: RestoreRecord): Record<keyof RestoreRow, unknown> {
  return {
    workflow_id: record.workflowId,
    run_id: record.runId,
    kind: record.kind,
    mode: record.mode ?? null,
    source: record.source,
    backup_id: record.backup ?? null,
    backend: record.backend ?? null,
    // In one order, so that equal ones are found equal.
    parts: record.parts.toSorted(),
    partial: record.partial,
    target: record.target ?? null,
    outcome: record.outcome,
    problem_type: record.problem?.type ?? null,
    // PostgreSQL's text holds no NUL; the end of a program's error output may.
    problem_message: record.problem?.message.replaceAll('\0', '') ?? null,
    started_at: record.startedAt,
    ended_at: record.endedAt,
    recovery_ms: record.recovery === undefined ? null : Math.round(record.recovery),
    phases: JSON.stringify(record.phases),
    bytes: record.bytes ?? null,
    difference_count: record.differenceCount ?? null,
  };
}

function recordOf(row: RestoreRow): RestoreRecord {
  return {
    workflowId: row.workflow_id,
    runId: row.run_id,
    kind: row.kind,
    mode: row.mode ?? undefined,
    source: row.source,
    backup: row.backup_id ?? undefined,
    backend: row.backend ?? undefined,
    parts: row.parts,
    partial: row.partial,
    target: row.target ?? undefined,
    outcome: row.outcome,
    problem:
      row.problem_type === null
        ? undefined
        : { type: row.problem_type, message: row.problem_message ?? 'no reason given' },
    startedAt: row.started_at.toISOString(),
    endedAt: row.ended_at.toISOString(),
    // bigint comes as text; sizes and durations stay far below 2^53.
    recovery: row.recovery_ms === null ? undefined : Number(row.recovery_ms),
    phases: row.phases,
    bytes: row.bytes === null ? undefined : Number(row.bytes),
    differenceCount: row.difference_count ?? undefined,
  };
}
