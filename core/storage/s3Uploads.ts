import { AbortMultipartUploadCommand, ListMultipartUploadsCommand, ListPartsCommand } from '@aws-sdk/client-s3';
import { HoldfastError } from '../errors.ts';
import type { PendingUpload, UploadedSegment } from './backend.ts';
import { request, type RequestOptions, type S3Connection } from './s3Client.ts';
import { isUploadUnknown, s3CodeOf } from './s3Errors.ts';

/** Multipart uploads as the service knows them: listed, looked into, aborted. */

/** A part on its way during an abort can outlive it ("AbortMultipartUpload", S3 API reference): it is repeated then. */
const ABORT_ATTEMPTS = 5;

export interface UploadedPart extends UploadedSegment {
  readonly etag: string;
}

interface UploadMarker {
  readonly KeyMarker?: string | undefined;
  readonly UploadIdMarker?: string | undefined;
}

/** Every upload below the prefix, oldest first. */
export async function listS3Uploads(s3: S3Connection, prefix: string, signal?: AbortSignal): Promise<PendingUpload[]> {
  const uploads: PendingUpload[] = [];
  let marker: UploadMarker | undefined = {};
  while (marker) {
    const at: UploadMarker = marker;
    const page = await request(s3, 'list the uploads under', prefix, signal, (options) =>
      listUploadPage(s3, prefix, at, options),
    );
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || !Key.startsWith(s3.prefix + prefix)) continue;
      uploads.push({ key: Key.slice(s3.prefix.length), locator: UploadId, begunAt: Initiated ?? new Date() });
    }
    marker = page.IsTruncated ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker } : undefined;
  }
  return uploads.toSorted((left, right) => left.begunAt.getTime() - right.begunAt.getTime());
}

/**
 * Aborts until the service no longer knows the upload, or knows no part of it: that is what the S3 API reference has one
 * check after AbortMultipartUpload, and some services answer so for every id.
 */
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
    const left = await listParts(s3, key, uploadId, signal);
    if (left === undefined || left.size === 0) return;
  }
  throw new HoldfastError(
    'BackendUnreachable',
    `backend ${s3.backend}: the upload of ${s3.bucket}/${s3.prefix}${key} is still there after ${ABORT_ATTEMPTS} aborts`,
    { advice: 'Something is still sending segments of it; it is swept later.' },
  );
}

/** All parts of an upload, or undefined when the service does not know it. */
export async function listParts(
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

/**
 * versitygw refuses the second marker that it gave out itself; with the first alone the next page begins one key later,
 * and a further upload of that one key is found by the next listing.
 */
async function listUploadPage(s3: S3Connection, prefix: string, marker: UploadMarker, options: RequestOptions) {
  const send = (at: UploadMarker) =>
    s3.client.send(new ListMultipartUploadsCommand({ Bucket: s3.bucket, Prefix: s3.prefix + prefix, ...at }), options);
  try {
    return await send(marker);
  } catch (error) {
    if (marker.UploadIdMarker === undefined || s3CodeOf(error) !== 'InvalidArgument') throw error;
    return send({ KeyMarker: marker.KeyMarker });
  }
}
