import type { Manifest } from '../../../core/repository/manifest.ts';

/** A manifest as a small full backup would have it; no object belongs to it. */
export function sampleManifest(identity: { id?: string | undefined; source?: string | undefined } = {}): Manifest {
  return {
    format: 'holdfast-backup',
    version: 1,
    id: identity.id ?? '20261120T020000Z-7f3k9q',
    source: identity.source ?? 'shop',
    kind: 'full',
    tier: 'daily',
    plan: 'shop-daily',
    startedAt: '2026-11-20T02:00:00.000Z',
    sealedAt: '2026-11-20T02:00:09.000Z',
    holdfastVersion: '0.1.0',
    database: {
      name: 'shop',
      serverVersion: '15.14',
      clientVersion: '15.14',
      systemIdentifier: '7412345678901234567',
      encoding: 'UTF8',
      bytes: 8_000_000,
      inventory: 'fingerprints',
    },
    environment: ['SECRET_KEY'],
    warnings: [],
    parts: [
      {
        part: 'database',
        format: 'pg_dump-custom',
        compression: { type: 'zstd', level: 1 },
        originalBytes: 4000,
        compressedBytes: 1000,
        storedBytes: 1234,
        ratio: '3.24',
        sha256: 'b'.repeat(64),
        keyIds: ['aes256-0011223344556677'],
        objects: [{ name: 'database.dump.zst.enc', bytes: 1234, sha256: 'b'.repeat(64) }],
        startedAt: '2026-11-20T02:00:01.000Z',
        endedAt: '2026-11-20T02:00:09.000Z',
      },
    ],
  };
}
