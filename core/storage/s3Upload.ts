import { CompleteMultipartUploadCommand, CreateMultipartUploadCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { HoldfastError, isHoldfastError } from '../errors.ts';
import type { BeginUploadOptions, StoredObject, Upload, UploadedSegment } from './backend.ts';
import { hexToBase64, integrityOf, newObjectOptions, request, signWithHash, type S3Connection } from './s3Client.ts';
import { isUploadBroken } from './s3Errors.ts';
import { abortS3Upload, listParts, type UploadedPart } from './s3Uploads.ts';

/** "Amazon S3 multipart upload limits" in the S3 User Guide; R2 and B2 have the same. */
const MAXIMUM_PARTS = 10_000;

/** What an upload needs of the rest of the backend. */
export interface ObjectAccess {
  head(key: string, signal?: AbortSignal): Promise<StoredObject | undefined>;
  putEmpty(key: string, signal?: AbortSignal): Promise<void>;
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
      // A command is good for one sending; a request may take two.
      const command = () =>
        new UploadPartCommand({
          ...target,
          PartNumber: number,
          Body: body,
          ...integrityOf(s3.profile, body, hashes),
        });
      const answer = await request(s3, `store segment ${number} of`, key, signal, (options) =>
        s3.client.send(signWithHash(command(), hashes.sha256), options),
      );
      parts.set(number, { number, bytes: body.length, sha256: hashes.sha256, etag: answer.ETag ?? '' });
    },
    listSegments: async (signal) => {
      const listed = await listParts(s3, key, uploadId, signal);
      if (listed === undefined) throw uploadGone(s3, key);
      return [...listed.values()]
        .map(({ number, bytes, sha256 }) => ({ number, bytes, sha256 }))
        .toSorted((left, right) => left.number - right.number);
    },
    complete: async (expected, signal) => {
      signal?.throwIfAborted();
      refuseIncomplete(s3, key, parts, segmentSize, expected);
      if (expected.segments === 0) {
        // A multipart upload has at least one part. Aborted first: a service may tidy up under the key while it does.
        await abortS3Upload(s3, key, uploadId, signal);
        await objects.putEmpty(key, signal);
        return;
      }
      const failure = await completeParts(s3, key, target, parts, signal);
      await confirm(s3, objects, key, expected.bytes, failure, signal);
    },
    isBroken: isUploadBroken,
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
  const input = {
    ...target,
    MultipartUpload: {
      Parts: ordered.map(({ number, etag, sha256 }) => ({
        PartNumber: number,
        ETag: etag,
        ...(withSha256 && sha256 !== undefined && { ChecksumSHA256: hexToBase64(sha256) }),
      })),
    },
  };
  try {
    await request(s3, 'complete', key, signal, (options) =>
      s3.client.send(new CompleteMultipartUploadCommand(input), options),
    );
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
  if (parts.size === 0) {
    // Nothing is lost with it, and some services list no parts, rather than an error, for an upload that is gone.
    await abortS3Upload(s3, key, options.resume, options.signal);
    return undefined;
  }
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
