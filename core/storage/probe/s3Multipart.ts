import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListPartsCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { sha256Of } from '../localStaging.ts';
import { integrityOf, newObjectOptions, signWithHash } from '../s3Client.ts';
import { compared, type ProbeFinding } from './report.ts';
import type { ChecksumKind } from './s3Checksums.ts';
import { refusalOf, type S3Space } from './s3Space.ts';

/** S3's least size of a part that is not the last ("Amazon S3 multipart upload limits"). */
const LEAST_PART = 5 * 2 ** 20;
/** Of unequal size: R2 refuses that, and Holdfast never does it. */
const PARTS: readonly Buffer[] = [LEAST_PART, LEAST_PART + 1000, 10].map((bytes) => Buffer.alloc(bytes, 'part'));

/**
 * Sends one upload of unequal parts: are they taken, and are their checksums listed, by which an upload is resumed.
 * `complete` false leaves the object out, where it could not be removed again.
 */
export async function probeMultipart(
  space: S3Space,
  checksum: ChecksumKind,
  { complete }: { complete: boolean },
): Promise<ProbeFinding[]> {
  const { s3 } = space;
  const target = space.at('multipart');
  const begun = await space.attempt('begin the upload of', (options) =>
    s3.client.send(
      new CreateMultipartUploadCommand({
        ...target,
        ...newObjectOptions(s3.settings),
        ...(checksum === 'sha256' && { ChecksumAlgorithm: 'SHA256' as const }),
      }),
      options,
    ),
  );
  if (!begun.accepted) return [unusable(refusalOf(begun))];
  const upload = { ...target, UploadId: begun.answer.UploadId };
  const etags: string[] = [];
  for (const [index, body] of (complete ? PARTS : PARTS.slice(-1)).entries()) {
    const hashes = { sha256: sha256Of(body) };
    const command = new UploadPartCommand({
      ...upload,
      PartNumber: index + 1,
      Body: body,
      ...integrityOf({ ...s3.profile, checksum }, body, hashes),
    });
    const sent = await space.attempt('store a part of', (options) =>
      s3.client.send(signWithHash(command, hashes.sha256), options),
    );
    if (!sent.accepted) return [unusable(refusalOf(sent))];
    etags.push(sent.answer.ETag ?? '');
  }
  const listed = await space.attempt('list the parts of', (options) =>
    s3.client.send(new ListPartsCommand(upload), options),
  );
  const findings = [listing(listed.accepted ? listed.answer.Parts : undefined, checksum)];
  if (!complete) return [...findings, skipped()];
  const Parts = etags.map((ETag, index) => ({
    PartNumber: index + 1,
    ETag,
    ...(checksum === 'sha256' && {
      ChecksumSHA256: Buffer.from(sha256Of(PARTS[index] ?? Buffer.alloc(0)), 'hex').toString('base64'),
    }),
  }));
  const completed = await space.attempt('complete', (options) =>
    s3.client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }), options),
  );
  return [
    ...findings,
    compared(
      'parts of unequal size',
      completed.accepted ? 'accepted' : refusalOf(completed),
      undefined,
      'Holdfast sends equal ones',
    ),
  ];
}

function listing(parts: readonly { ChecksumSHA256?: string | undefined }[] | undefined, checksum: ChecksumKind) {
  const found = parts === undefined ? 'no' : parts.some((part) => part.ChecksumSHA256) ? 'with checksums' : 'by size';
  const meaning: Readonly<Record<string, string>> = {
    no: 'an interrupted upload begins anew',
    'with checksums': 'an interrupted upload goes on only from bytes that are the same',
    'by size': 'an interrupted upload goes on from parts of the right size; the read-back proves the bytes',
  };
  // Whether checksums are listed is told; that parts are listed is needed.
  const expected = parts === undefined ? (checksum === 'sha256' ? 'with checksums' : 'by size') : undefined;
  return compared('list of parts', found, expected, meaning[found] ?? '');
}

function unusable(found: string): ProbeFinding {
  return compared('multipart upload', found, 'accepted', 'a part of more than one segment cannot be stored here');
}

function skipped(): ProbeFinding {
  return compared('parts of unequal size', 'left out', undefined, 'Object Lock would keep the object');
}
