import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { HoldfastError, isHoldfastError } from '../errors.ts';
import type { BeginUploadOptions, PendingUpload, StoredObject, Upload, UploadedSegment } from './backend.ts';
import { hexToBase64, integrityOf, newObjectOptions, request, signWithHash, type S3Connection } from './s3Client.ts';
import { isUploadUnknown } from './s3Errors.ts';

/** "Amazon S3 multipart upload limits" in the S3 User Guide; R2 and B2 have the same. */
const MAXIMUM_PARTS = 10_000;
/** A part on its way during an abort can outlive it ("AbortMultipartUpload", S3 API reference): it is repeated then. */
const ABORT_ATTEMPTS = 5;

/** What an upload needs of the rest of the backend. */
export interface ObjectAccess {
  head(key: string, signal?: AbortSignal): Promise<StoredObject | undefined>;
  putEmpty(key: string, signal?: AbortSignal): Promise<void>;
}

interface UploadedPart extends UploadedSegment {
  readonly etag: string;
}

export async function beginS3Upload(
  s3: S3Connection,
  objects: ObjectAccess,
  key: string,
  options: BeginUploadOptions,
): Promise<Upload> {
  const known = await resumeUpload(s3, key, options);
  if (known) return uploadOf(s3, objects, key, known.uploadId, options.segmentSize, known.parts);
  const uploadId = await createUpload(s3, key, options.signal);
  return uploadOf(s3, objects, key, uploadId, options.segmentSize, new Map());
}

/** Every upload below the prefix, oldest first. */
export async function listS3Uploads(s3: S3Connection, prefix: string, signal?: AbortSignal): Promise<PendingUpload[]> {
  const uploads: PendingUpload[] = [];
  let marker: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
  while (marker) {
    const at: { KeyMarker?: string; UploadIdMarker?: string } = marker;
    const page = await request(s3, 'list the uploads under', prefix, signal, (options) =>
      s3.client.send(
        new ListMultipartUploadsCommand({ Bucket: s3.bucket, Prefix: s3.prefix + prefix, ...at }),
        options,
      ),
    );
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || !Key.startsWith(s3.prefix + prefix)) continue;
      uploads.push({ key: Key.slice(s3.prefix.length), locator: UploadId, begunAt: Initiated ?? new Date() });
    }
    marker =
      page.IsTruncated && page.NextKeyMarker !== undefined
        ? {
            KeyMarker: page.NextKeyMarker,
            ...(page.NextUploadIdMarker !== undefined && { UploadIdMarker: page.NextUploadIdMarker }),
          }
        : undefined;
  }
  return uploads.toSorted((left, right) => left.begunAt.getTime() - right.begunAt.getTime());
}

/** Aborts until the service no longer knows the upload. */
export async function abortS3Upload(
  s3: S3Connection,
  key: string,
  uploadId: string,
  signal?: AbortSignal,
): Promise<void> {
  for (let tries = 1; tries <= ABORT_ATTEMPTS; tries += 1) {
    await request(s3, 'abort the upload of', key, signal, (options) =>
      ignoreUnknown(
        s3.client.send(
          new AbortMultipartUploadCommand({ Bucket: s3.bucket, Key: s3.prefix + key, UploadId: uploadId }),
          options,
        ),
      ),
    );
    if ((await listParts(s3, key, uploadId, signal)) === undefined) return;
  }
  throw new HoldfastError(
    'BackendUnreachable',
    `backend ${s3.backend}: the upload of ${s3.bucket}/${s3.prefix}${key} is still there after ${ABORT_ATTEMPTS} aborts`,
    { advice: 'Something is still sending segments of it; it is swept later.' },
  );
}

function uploadOf(
  s3: S3Connection,
  objects: ObjectAccess,
  key: string,
  uploadId: string,
  segmentSize: number,
  parts: Map<number, UploadedPart>,
): Upload {
  const target = { Bucket: s3.bucket, Key: s3.prefix + key, UploadId: uploadId };
  return {
    key,
    locator: uploadId,
    putSegment: async (number, body, hashes, signal) => {
      refuseImpossible(s3, key, number, body.length, segmentSize);
      const command = new UploadPartCommand({
        ...target,
        PartNumber: number,
        Body: body,
        ...integrityOf(s3.profile, body, hashes),
      });
      const answer = await request(s3, `store segment ${number} of`, key, signal, (options) =>
        s3.client.send(signWithHash(command, hashes.sha256), options),
      );
      parts.set(number, { number, bytes: body.length, sha256: hashes.sha256, etag: answer.ETag ?? '' });
    },
    listSegments: async (signal) => {
      const listed = await listParts(s3, key, uploadId, signal);
      if (listed === undefined) throw uploadGone(s3, key);
      return [...listed.values()].map(({ number, bytes, sha256 }) => ({ number, bytes, sha256 }));
    },
    complete: async (expected, signal) => {
      signal?.throwIfAborted();
      refuseIncomplete(s3, key, parts, segmentSize, expected);
      if (expected.segments === 0) {
        // A multipart upload has at least one part.
        await objects.putEmpty(key, signal);
        await abortS3Upload(s3, key, uploadId, signal);
        return;
      }
      const failure = await completeParts(s3, key, target, parts, signal);
      await confirm(s3, objects, key, expected.bytes, failure, signal);
    },
    abort: (signal) => abortS3Upload(s3, key, uploadId, signal),
  };
}

/** Sends Complete. Its failure is handed back, because it proves nothing yet. */
async function completeParts(
  s3: S3Connection,
  key: string,
  target: { Bucket: string; Key: string; UploadId: string },
  parts: ReadonlyMap<number, UploadedPart>,
  signal?: AbortSignal,
): Promise<HoldfastError | undefined> {
  const withSha256 = s3.profile.checksum === 'sha256';
  const ordered = [...parts.values()].toSorted((left, right) => left.number - right.number);
  const command = new CompleteMultipartUploadCommand({
    ...target,
    MultipartUpload: {
      Parts: ordered.map(({ number, etag, sha256 }) => ({
        PartNumber: number,
        ETag: etag,
        ...(withSha256 && sha256 !== undefined && { ChecksumSHA256: hexToBase64(sha256) }),
      })),
    },
  });
  try {
    await request(s3, 'complete', key, signal, (options) => s3.client.send(command, options));
    return undefined;
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return error;
  }
}

/**
 * Complete can answer 200 with an error in its body, and can time out after it took effect ("CompleteMultipartUpload",
 * S3 API reference): only what stands under the key afterwards counts.
 */
async function confirm(
  s3: S3Connection,
  objects: ObjectAccess,
  key: string,
  bytes: number,
  failure: HoldfastError | undefined,
  signal?: AbortSignal,
): Promise<void> {
  const found = await objects.head(key, signal).catch((error: unknown) => {
    throw failure ?? error;
  });
  if (found?.bytes === bytes) return;
  if (failure !== undefined) throw failure;
  throw new HoldfastError(
    'ObjectDamaged',
    `backend ${s3.backend}: ${s3.bucket}/${s3.prefix}${key} was completed with ` +
      `${found ? `${found.bytes} bytes` : 'nothing'} in place of ${bytes} bytes`,
    { advice: 'It is sent again; report it to the provider if it repeats.', retryable: true },
  );
}

async function resumeUpload(s3: S3Connection, key: string, options: BeginUploadOptions) {
  if (options.resume === undefined) return undefined;
  const parts = await listParts(s3, key, options.resume, options.signal);
  if (parts === undefined) return undefined;
  const last = Math.max(0, ...parts.keys());
  const fits = [...parts.values()].every(
    ({ number, bytes }) => bytes <= options.segmentSize && (number === last || bytes === options.segmentSize),
  );
  if (fits) return { uploadId: options.resume, parts };
  // Begun with another segment size: its parts cannot stand beside ours.
  await abortS3Upload(s3, key, options.resume, options.signal);
  return undefined;
}

async function createUpload(s3: S3Connection, key: string, signal?: AbortSignal): Promise<string> {
  const answer = await request(s3, 'begin the upload of', key, signal, (options) =>
    s3.client.send(
      new CreateMultipartUploadCommand({
        Bucket: s3.bucket,
        Key: s3.prefix + key,
        ...newObjectOptions(s3.settings),
        ...(s3.profile.checksum === 'sha256' && { ChecksumAlgorithm: 'SHA256' as const }),
      }),
      options,
    ),
  );
  if (answer.UploadId !== undefined) return answer.UploadId;
  throw new HoldfastError('BackendUnreachable', `backend ${s3.backend}: ${s3.bucket} gave no upload id for ${key}`);
}

/** All parts of an upload, or undefined when the service does not know it. */
async function listParts(
  s3: S3Connection,
  key: string,
  uploadId: string,
  signal?: AbortSignal,
): Promise<Map<number, UploadedPart> | undefined> {
  const parts = new Map<number, UploadedPart>();
  let marker: string | undefined;
  do {
    const after: string | undefined = marker;
    const page = await request(s3, 'list the segments of', key, signal, (options) =>
      ignoreUnknown(
        s3.client.send(
          new ListPartsCommand({
            Bucket: s3.bucket,
            Key: s3.prefix + key,
            UploadId: uploadId,
            ...(after !== undefined && { PartNumberMarker: after }),
          }),
          options,
        ),
      ),
    );
    if (page === undefined) return undefined;
    for (const { PartNumber, Size, ETag, ChecksumSHA256 } of page.Parts ?? []) {
      if (PartNumber === undefined || Size === undefined) continue;
      const sha256 = ChecksumSHA256 === undefined ? undefined : Buffer.from(ChecksumSHA256, 'base64').toString('hex');
      parts.set(PartNumber, { number: PartNumber, bytes: Size, sha256, etag: ETag ?? '' });
    }
    marker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
  } while (marker !== undefined);
  return parts;
}

async function ignoreUnknown<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isUploadUnknown(error)) return undefined;
    throw error;
  }
}

function refuseImpossible(s3: S3Connection, key: string, number: number, bytes: number, segmentSize: number): void {
  if (number > MAXIMUM_PARTS) {
    throw new HoldfastError(
      'BackendRefused',
      `backend ${s3.backend}: ${s3.prefix}${key} has more than ${MAXIMUM_PARTS} segments of ${segmentSize} bytes, ` +
        'the most an object on S3 may have',
      { advice: 'Raise spool.segmentSize.' },
    );
  }
  if (bytes <= segmentSize && number >= 1) return;
  throw new HoldfastError(
    'InvalidInput',
    `backend ${s3.backend}: segment ${number} of ${key} has ${bytes} bytes, more than the ${segmentSize} agreed on`,
  );
}

function refuseIncomplete(
  s3: S3Connection,
  key: string,
  parts: ReadonlyMap<number, UploadedSegment>,
  segmentSize: number,
  expected: { segments: number; bytes: number },
): void {
  const listed = [...parts.values()];
  const bytes = listed.reduce((sum, part) => sum + part.bytes, 0);
  // R2 refuses parts of unequal size, and every provider counts them from 1.
  const uneven = listed.some((part) => part.number < expected.segments && part.bytes !== segmentSize);
  const beyond = listed.some((part) => part.number > expected.segments);
  if (listed.length === expected.segments && bytes === expected.bytes && !uneven && !beyond) return;
  throw new HoldfastError(
    'BackendRefused',
    `backend ${s3.backend}: ${s3.prefix}${key} is not complete: expected ${expected.bytes} bytes in ` +
      `${expected.segments} segments, there are ${bytes} in ${listed.length}`,
    { advice: 'Send the missing segments again, then complete.' },
  );
}

function uploadGone(s3: S3Connection, key: string): HoldfastError {
  return new HoldfastError(
    'BackendUnreachable',
    `backend ${s3.backend}: the upload of ${s3.bucket}/${s3.prefix}${key} is gone, aborted or completed by somebody`,
    { advice: 'It begins anew on the next attempt.' },
  );
}
