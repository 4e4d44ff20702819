import { z } from 'zod';
import { BACKUP_KINDS, TIERS } from '../config/words.ts';

/**
 * The manifest: the small signed document whose presence makes a copy exist. docs/format.md specifies it.
 * It names no table, no row count and no value of a variable; those are in the sealed inventory.
 */

export const MANIFEST_FORMAT = 'holdfast-backup';
export const MANIFEST_VERSION = 1;

/** As in holdfast.yaml: they become parts of paths, of messages and of file names that a reader proposes. */
const name = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/);
const count = z.int().min(0);
const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);
const timestamp = z.iso.datetime();

const pathList = z.strictObject({ count, paths: z.array(z.string()) });

const treeReport = z.strictObject({
  files: count,
  directories: count,
  links: count,
  bytes: count,
  changed: pathList,
  vanished: pathList,
  unreadable: pathList,
  skipped: pathList,
  outsideLinks: pathList.optional(),
  specialFiles: pathList.optional(),
});

const storedObject = z.strictObject({
  /** Relative to the backup's own folder. */
  name: z.string().regex(/^[a-z0-9][a-z0-9._-]*$/),
  bytes: count,
  sha256: sha256Hex,
});

const part = z.strictObject({
  part: name,
  format: z.enum(['pg_dump-custom', 'sql', 'tar', 'json']),
  compression: z.strictObject({ type: z.enum(['zstd', 'gzip']), level: z.int() }),
  originalBytes: count,
  compressedBytes: count,
  storedBytes: count,
  /** Original to stored, as a decimal with two places: text, because signed numbers are whole. */
  ratio: z.string().regex(/^\d+\.\d\d$/),
  /** Of all stored bytes of the part, over its objects in order. */
  sha256: sha256Hex,
  keyIds: z.array(z.string()).min(1),
  objects: z.array(storedObject).min(1),
  startedAt: timestamp,
  endedAt: timestamp,
  tree: treeReport.optional(),
});

export const manifestSchema = z.strictObject({
  format: z.literal(MANIFEST_FORMAT),
  version: z.literal(MANIFEST_VERSION),
  id: z.string().regex(/^\d{8}T\d{6}Z-[0-9a-z]{6}$/),
  source: name,
  kind: z.enum(BACKUP_KINDS),
  tier: z.enum(TIERS),
  plan: name.optional(),
  startedAt: timestamp,
  /** When the last byte of the last part was sealed. */
  sealedAt: timestamp,
  holdfastVersion: z.string(),
  database: z
    .strictObject({
      name: z.string(),
      serverVersion: z.string(),
      clientVersion: z.string(),
      /** pg_control's system identifier, as text: it exceeds a safe integer. */
      systemIdentifier: z.string().optional(),
      encoding: z.string(),
      /** pg_database_size() at the snapshot, in bytes. */
      bytes: count,
      inventory: z.enum(['fingerprints', 'counts', 'off']),
    })
    .optional(),
  /** Names, never values. */
  environment: z.array(z.string()),
  /** What a reader should know: said at preflight or while dumping. */
  warnings: z.array(z.string()),
  parts: z.array(part).min(1),
});

export const signedManifestSchema = z.strictObject({
  manifest: z.unknown(),
  signature: z.strictObject({
    algorithm: z.literal('ed25519'),
    keyId: z.string(),
    /** Base64 over the RFC 8785 canonical form of `manifest`. */
    value: z.string(),
  }),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestPart = Manifest['parts'][number];
export type ManifestObject = ManifestPart['objects'][number];
