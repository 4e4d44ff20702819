import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { isHoldfastError } from '../errors.ts';
import type { ObjectAddress, StoredObject } from './backend.ts';
import { newObjectOptions, request, type S3Connection } from './s3Client.ts';

/** Copies that the service makes by itself, from one of its buckets to another. */

/**
 * One CopyObject takes up to 5 GiB ("CopyObject", S3 API reference), but answers only at its end: smaller pieces keep
 * each request well within its time-out.
 */
const PIECE_BYTES = 256 * 2 ** 20;
const MAXIMUM_PIECES = 10_000;

type Head = (key: string, signal?: AbortSignal) => Promise<StoredObject | undefined>;

export function addressInS3({ profile, bucket, prefix }: S3Connection, key: string): ObjectAddress {
  return { service: `${profile.endpoint ?? 'aws'} ${profile.region}`, bucket, key: prefix + key };
}

/** See `Backend.copyWithin`. Whatever the service says against it, sending the bytes is still a way: so it is `refused`. */
export async function copyWithinS3(
  s3: S3Connection,
  head: Head,
  from: ObjectAddress,
  key: string,
  bytes: number,
  signal?: AbortSignal,
): Promise<'copied' | 'refused'> {
  if (from.service !== addressInS3(s3, key).service) return 'refused';
  const source = `${from.bucket}/${from.key.split('/').map(encodeURIComponent).join('/')}`;
  try {
    await (bytes <= PIECE_BYTES ? copyWhole(s3, source, key, signal) : copyPieces(s3, source, key, bytes, signal));
    // A copy can answer 200 with an error in its body: only what stands there counts.
    return (await head(key, signal))?.bytes === bytes ? 'copied' : 'refused';
  } catch (error) {
    signal?.throwIfAborted();
    if (isHoldfastError(error)) return 'refused';
    throw error;
  }
}

async function copyWhole(s3: S3Connection, source: string, key: string, signal?: AbortSignal): Promise<void> {
  await request(s3, 'copy', key, signal, (options) =>
    s3.client.send(
      new CopyObjectCommand({
        Bucket: s3.bucket,
        Key: s3.prefix + key,
        CopySource: source,
        ...newObjectOptions(s3.settings),
      }),
      options,
    ),
  );
}

async function copyPieces(
  s3: S3Connection,
  source: string,
  key: string,
  bytes: number,
  signal?: AbortSignal,
): Promise<void> {
  const target = { Bucket: s3.bucket, Key: s3.prefix + key };
  const begun = await request(s3, 'begin the copy of', key, signal, (options) =>
    s3.client.send(new CreateMultipartUploadCommand({ ...target, ...newObjectOptions(s3.settings) }), options),
  );
  const upload = { ...target, UploadId: begun.UploadId };
  try {
    const size = Math.max(PIECE_BYTES, Math.ceil(bytes / MAXIMUM_PIECES));
    const pieces: { PartNumber: number; ETag: string | undefined }[] = [];
    for (let start = 0; start < bytes; start += size) {
      const PartNumber = pieces.length + 1;
      const CopySourceRange = `bytes=${start}-${Math.min(start + size, bytes) - 1}`;
      const answer = await request(s3, `copy piece ${PartNumber} of`, key, signal, (options) =>
        s3.client.send(
          new UploadPartCopyCommand({ ...upload, PartNumber, CopySource: source, CopySourceRange }),
          options,
        ),
      );
      pieces.push({ PartNumber, ETag: answer.CopyPartResult?.ETag });
    }
    await request(s3, 'complete the copy of', key, signal, (options) =>
      s3.client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: pieces } }), options),
    );
  } catch (error) {
    // Not resumed: the pieces cost the service a moment only. Not told when even this fails: it is swept by its age.
    await s3.client.send(new AbortMultipartUploadCommand(upload)).catch(() => undefined);
    throw error;
  }
}
