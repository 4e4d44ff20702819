import { sign, verify } from 'node:crypto';
import canonicalize from 'canonicalize';
import { z } from 'zod';
import { HoldfastError, messageOf } from '../errors.ts';
import type { CheckingKey, SigningKey } from '../seal/keys.ts';
import { MANIFEST_NAME, manifestKey, type BackupLocation } from './layout.ts';
import { MANIFEST_FORMAT, MANIFEST_VERSION, manifestSchema, signedManifestSchema, type Manifest } from './manifest.ts';

/**
 * The bytes of manifest.json. The same manifest and key always give the same bytes (RFC 8785 canonical JSON, and Ed25519
 * draws no random numbers), so that a retry writes what is there already.
 * Throws ManifestInvalid for what is no manifest.
 */
export function signManifest(manifest: Manifest, key: SigningKey): Buffer {
  const checked = parseManifest(wellFormed(manifest), 'The manifest to be signed');
  const value = sign(null, signedBytes(checked), key.privateKey).toString('base64');
  const document = { manifest: checked, signature: { algorithm: 'ed25519', keyId: key.id, value } };
  return Buffer.from(`${canonical(document)}\n`, 'utf8');
}

export interface ExpectedManifest {
  /** Where it was read. A manifest that is moved to another place is still well signed, but it is not that place's. */
  readonly location?: BackupLocation;
  /** What errors call it, e.g. `backend r2: shop/daily/20261120T020000Z-7f3k9q/manifest.json`. */
  readonly where?: string;
}

/**
 * Reads and proves a manifest: nothing of it is believed before the signature holds.
 * Throws KeyMissing when it was signed by a key that is not among `keys`, ManifestInvalid for everything else.
 */
export function readSignedManifest(
  bytes: Uint8Array,
  keys: readonly CheckingKey[],
  expected: ExpectedManifest = {},
): Manifest {
  const where = expected.where ?? (expected.location ? manifestKey(expected.location) : MANIFEST_NAME);
  const { manifest: unproven, signature } = parseDocument(bytes, where);
  const key = keys.find((known) => known.id === signature.keyId);
  if (key === undefined) throw unknownSigner(signature.keyId, keys, where);
  const value = Buffer.from(signature.value, 'base64');
  // Node's decoder overlooks foreign characters and spare bits; a manifest has one form only.
  const exact = value.toString('base64') === signature.value;
  if (!exact || !verify(null, signedBytes(unproven), key.publicKey, value)) {
    throw invalid(where, `it was changed after ${signature.keyId} signed it`);
  }
  refuseOtherFormats(unproven, where);
  const manifest = parseManifest(unproven, where);
  if (expected.location !== undefined) refuseMisplaced(manifest, expected.location, where);
  return manifest;
}

function parseDocument(bytes: Uint8Array, where: string): z.infer<typeof signedManifestSchema> {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid(where, `it is not JSON: ${messageOf(cause)}`, cause);
  }
  const parsed = signedManifestSchema.safeParse(document);
  if (!parsed.success) throw invalid(where, `it is not a signed manifest: ${z.prettifyError(parsed.error)}`);
  // Two documents that read alike could differ in what a laxer reader takes from them, e.g. by a key that stands twice.
  if (`${canonical(document)}\n` !== Buffer.from(bytes).toString('utf8')) {
    throw invalid(where, 'its bytes are not the canonical form that was written');
  }
  return parsed.data;
}

function parseManifest(manifest: unknown, where: string): Manifest {
  const parsed = manifestSchema.safeParse(manifest);
  if (!parsed.success) throw invalid(where, z.prettifyError(parsed.error));
  return parsed.data;
}

/** A later release may have written it: that is for the reader to know, not a list of strange fields. */
function refuseOtherFormats(manifest: unknown, where: string): void {
  const head = z.object({ format: z.literal(MANIFEST_FORMAT), version: z.int() }).safeParse(manifest);
  if (!head.success) throw invalid(where, 'it describes no Holdfast backup');
  if (head.data.version > MANIFEST_VERSION) {
    throw new HoldfastError(
      'ManifestInvalid',
      `${where} has format version ${head.data.version}; this Holdfast reads up to ${MANIFEST_VERSION}.`,
      { advice: 'A newer Holdfast wrote it. Use that release or a later one to read it.' },
    );
  }
}

function refuseMisplaced(manifest: Manifest, location: BackupLocation, where: string): void {
  if (manifest.id === location.backup && manifest.source === location.source && manifest.tier === location.tier) return;
  throw invalid(where, `it is the manifest of ${manifest.source}/${manifest.tier}/${manifest.id}, moved here`);
}

/** Half a surrogate pair, as cutting a file name leaves it, has no bytes in UTF-8: it becomes U+FFFD before signing. */
function wellFormed(manifest: Manifest): unknown {
  return JSON.parse(
    JSON.stringify(manifest, (_key, value: unknown) => (typeof value === 'string' ? value.toWellFormed() : value)),
  );
}

function signedBytes(manifest: unknown): Buffer {
  return Buffer.from(canonical(manifest), 'utf8');
}

function canonical(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('only JSON values can be signed');
  return text;
}

function unknownSigner(keyId: string, keys: readonly CheckingKey[], where: string): HoldfastError {
  const known = keys.length === 0 ? 'none is' : `${keys.map((key) => key.id).join(', ')} is`;
  return new HoldfastError('KeyMissing', `${where} is signed by ${keyId}; of signing keys, ${known} at hand.`, {
    advice: `Add the public half of ${keyId} to the keys if it is yours. If it is not, somebody else wrote this manifest.`,
  });
}

function invalid(where: string, reason: string, cause?: unknown): HoldfastError {
  return new HoldfastError('ManifestInvalid', `${where} cannot be trusted: ${reason}.`, {
    advice: 'Use the copy on another backend, and find out who wrote to this one.',
    cause,
  });
}
