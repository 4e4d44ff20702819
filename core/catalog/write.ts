import type { PoolClient } from 'pg';
import { HoldfastError } from '../errors.ts';
import type { Manifest } from '../repository/manifest.ts';
import { inTransaction, type Catalog } from './catalog.ts';
import type { BackupRecord, CopyRecord, VerificationRecord } from './record.ts';

/**
 * Writes what is known of a backup, its copies and how they were proven. Repeating it with the same record changes
 * nothing. Throws CatalogUnavailable.
 */
export async function recordBackup(
  catalog: Catalog,
  record: BackupRecord,
  proofs: readonly VerificationRecord[] = [],
): Promise<void> {
  await inTransaction(catalog, async (client) => {
    await upsert(client, 'backups', ['id'], backupRow(record));
    for (const copy of record.copies) {
      // One connection, one query at a time.
      await upsert(client, 'copies', ['backup_id', 'backend'], copyRow(record.id, copy));
    }
    for (const proof of proofs) {
      await upsert(client, 'verifications', VERIFICATION_KEY, verificationRow(proof));
    }
  });
}

/**
 * Writes a backup that the catalog does not know yet, and answers whether it did: one that a run has recorded meanwhile
 * stays as that run wrote it. Throws CatalogUnavailable.
 */
export async function adoptBackup(catalog: Catalog, record: BackupRecord): Promise<boolean> {
  return inTransaction(catalog, async (client) => {
    const row = backupRow(record);
    const columns = Object.keys(row);
    const added = await client.query(
      `INSERT INTO holdfast.backups (${columns.join(', ')}) VALUES (${columns.map((_, index) => `$${index + 1}`).join(', ')})
       ON CONFLICT (id) DO NOTHING`,
      Object.values(row),
    );
    if (added.rowCount === 0) return false;
    for (const copy of record.copies) {
      await upsert(client, 'copies', ['backup_id', 'backend'], copyRow(record.id, copy));
    }
    return true;
  });
}

/**
 * Writes the outcome of one look at one copy, and what follows from it for the states of the copy and the backup.
 * Repeating it with the same record changes nothing. Throws InvalidInput for a backup the catalog does not know,
 * CatalogUnavailable.
 */
export async function recordVerification(catalog: Catalog, record: VerificationRecord): Promise<void> {
  await inTransaction(catalog, (client) => applyVerification(client, record));
}

/** The same inside a transaction. */
export async function applyVerification(client: PoolClient, record: VerificationRecord): Promise<void> {
  // Two backends of one backup are verified side by side: the second must see the first one's outcome.
  const known = await client.query('SELECT FROM holdfast.backups WHERE id = $1 FOR UPDATE', [record.backupId]);
  if (known.rowCount === 0) {
    throw new HoldfastError('InvalidInput', `The catalog knows no backup ${record.backupId}`, {
      advice: 'Record the backup first; a backup that only lies in a storage is not in the catalog.',
    });
  }
  await upsert(client, 'verifications', VERIFICATION_KEY, verificationRow(record));
  // A look that could not be finished says nothing about the copy.
  if (record.outcome === 'failed') return;
  // What is told late, after the catalog was away, does not take back what was seen since: a copy may be healed by now.
  if (await wasSeenSince(client, record)) return;
  // Nor is a copy lost that nobody was to make: a look at a backend that the backup never went to changes nothing.
  if (record.outcome === 'missing' && !(await isKnownCopy(client, record))) return;
  await upsert(client, 'copies', ['backup_id', 'backend'], copyAfter(record, record.outcome));
  await client.query(STATE_FROM_COPIES, [record.backupId]);
}

async function wasSeenSince(client: PoolClient, { backupId, backend, at }: VerificationRecord): Promise<boolean> {
  const later = await client.query(
    `SELECT FROM holdfast.verifications WHERE backup_id = $1 AND backend = $2 AND at > $3 AND outcome <> 'failed' LIMIT 1`,
    [backupId, backend, at],
  );
  return later.rowCount !== 0;
}

async function isKnownCopy(client: PoolClient, { backupId, backend }: VerificationRecord): Promise<boolean> {
  const copies = await client.query('SELECT FROM holdfast.copies WHERE backup_id = $1 AND backend = $2', [
    backupId,
    backend,
  ]);
  return copies.rowCount !== 0;
}

const VERIFICATION_KEY = ['backup_id', 'backend', 'depth', 'at'];

/**
 * Every copy proven, enough of them, too few; with the reason, which is that of the copies that are not good. The reason
 * of a run that failed stays for as long as the backup has.
 */
const STATE_FROM_COPIES = `
  UPDATE holdfast.backups AS backup
     SET state = judged.state,
         problem_type = CASE
           WHEN judged.state = 'verified' THEN NULL
           WHEN judged.reason IS NULL OR judged.state = 'failed' AND backup.state = 'failed' THEN backup.problem_type
           ELSE judged.type
         END,
         problem_message = CASE
           WHEN judged.state = 'verified' THEN NULL
           WHEN judged.reason IS NULL OR judged.state = 'failed' AND backup.state = 'failed' THEN backup.problem_message
           ELSE judged.reason
         END
    FROM (SELECT CASE
                   WHEN found.good >= kept.required_copies AND found.good = found.total AND proven.opened THEN 'verified'
                   WHEN found.good >= kept.required_copies THEN 'degraded'
                   ELSE 'failed'
                 END AS state, found.reason, found.type
            FROM holdfast.backups AS kept,
                 (SELECT count(*) AS total, count(*) FILTER (WHERE state = 'verified') AS good,
                         min(problem_type) AS type,
                         string_agg(format('No good copy on %s: %s', backend, coalesce(problem_message, state)), E'\\n'
                                    ORDER BY backend) FILTER (WHERE state <> 'verified') AS reason
                    FROM holdfast.copies WHERE backup_id = $1) AS found,
                 (SELECT count(*) > 0 AS opened FROM holdfast.verifications
                   WHERE backup_id = $1 AND depth IN ('opened', 'restored') AND outcome = 'passed') AS proven
           WHERE kept.id = $1) AS judged
   WHERE backup.id = $1 AND backup.manifest IS NOT NULL`;

type Row = Readonly<Record<string, string | number | null>>;

function backupRow(record: BackupRecord): Row {
  const manifest = record.manifest;
  return {
    id: record.id,
    source: record.source,
    kind: record.kind,
    tier: record.tier,
    plan: record.plan ?? null,
    state: record.state,
    required_copies: record.requiredCopies,
    problem_type: record.problem?.type ?? null,
    problem_message: storable(record.problem?.message),
    started_at: record.startedAt,
    sealed_at: manifest?.sealedAt ?? null,
    ended_at: record.endedAt,
    original_bytes: sumOf(manifest, 'originalBytes'),
    compressed_bytes: sumOf(manifest, 'compressedBytes'),
    stored_bytes: sumOf(manifest, 'storedBytes'),
    manifest: manifest === undefined ? null : JSON.stringify(manifest),
    manifest_sha256: record.manifestSha256 ?? null,
    workflow_id: record.workflowId ?? null,
    run_id: record.runId ?? null,
  };
}

function copyRow(backupId: string, copy: CopyRecord): Row {
  return {
    backup_id: backupId,
    backend: copy.backend,
    state: copy.state,
    problem_type: copy.problem?.type ?? null,
    problem_message: storable(copy.problem?.message),
    bytes: copy.bytes ?? null,
    uploaded_at: copy.uploadedAt ?? null,
    upload_ms: milliseconds(copy.uploadMs),
    verified_at: copy.verifiedAt ?? null,
    verify_ms: milliseconds(copy.verifyMs),
  };
}

function verificationRow(record: VerificationRecord): Row {
  return {
    backup_id: record.backupId,
    backend: record.backend,
    depth: record.depth,
    outcome: record.outcome,
    at: record.at,
    duration_ms: milliseconds(record.durationMs),
    message: storable(record.message),
  };
}

/** Only what the look has shown; the columns that are not named keep what they hold. */
function copyAfter(record: VerificationRecord, outcome: 'passed' | 'damaged' | 'missing'): Row {
  const key = { backup_id: record.backupId, backend: record.backend };
  return outcome === 'passed'
    ? {
        ...key,
        state: 'verified',
        problem_type: null,
        problem_message: null,
        verified_at: record.at,
        verify_ms: milliseconds(record.durationMs),
      }
    : {
        ...key,
        state: outcome,
        problem_type: outcome === 'missing' ? 'ObjectMissing' : 'ObjectDamaged',
        problem_message: storable(record.message ?? ''),
      };
}

async function upsert(client: PoolClient, table: string, key: readonly string[], row: Row): Promise<void> {
  const columns = Object.keys(row);
  const changes = columns.filter((column) => !key.includes(column)).map((column) => `${column} = excluded.${column}`);
  await client.query(
    `INSERT INTO holdfast.${table} (${columns.join(', ')})
     VALUES (${columns.map((_, index) => `$${index + 1}`).join(', ')})
     ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${changes.join(', ')}`,
    Object.values(row),
  );
}

function sumOf(manifest: Manifest | undefined, field: 'originalBytes' | 'compressedBytes' | 'storedBytes') {
  return manifest === undefined ? null : manifest.parts.reduce((sum, part) => sum + part[field], 0);
}

function milliseconds(duration: number | undefined): number | null {
  return duration === undefined ? null : Math.round(duration);
}

/** PostgreSQL's text holds no NUL; the end of a program's error output may. */
function storable(text: string | undefined): string | null {
  return text === undefined ? null : text.replaceAll('\0', '');
}
