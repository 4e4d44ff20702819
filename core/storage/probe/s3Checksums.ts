import { createHash } from 'node:crypto';
import type { PutObjectCommandInput } from '@aws-sdk/client-s3';
import type { S3Profile } from '../s3Profiles.ts';
import { compared, type LearnedProfile, type ProbeFinding } from './report.ts';
import { refusalOf, type S3Space } from './s3Space.ts';

/** Whether the service takes a checksum, and whether it looks at it. */

export type ChecksumKind = S3Profile['checksum'];

export interface ChecksumFindings {
  readonly findings: readonly ProbeFinding[];
  /** What bodies are best sent with. */
  readonly best: ChecksumKind;
  /** Headers of the best kind for a body. */
  readonly integrity: (body: Buffer) => Partial<PutObjectCommandInput>;
  readonly learned: LearnedProfile;
}

const CHECKED = 'accepted, a wrong one is refused';
const UNCHECKED = 'accepted, and a wrong one too';

/** The text for which every catalogue of CRCs gives a check value: that of CRC-64/NVME is ae8b14860a799888. */
const BODY = Buffer.from('123456789');
const crc64nvme = (hex: string) => ({ ChecksumCRC64NVME: Buffer.from(hex, 'hex').toString('base64') });
const WRONG = Buffer.from('987654321');

const INTEGRITY: Readonly<Record<ChecksumKind, (body: Buffer) => Partial<PutObjectCommandInput>>> = {
  sha256: (body) => ({ ChecksumSHA256: digest('sha256', body) }),
  md5: (body) => ({ ContentMD5: digest('md5', body) }),
  none: () => ({}),
};

/** Throws what the service said where it takes no body at all, with or without a checksum. */
export async function probeChecksums(space: S3Space): Promise<ChecksumFindings> {
  const { profile, settings } = space.s3;
  const sha256 = await tryChecksum(space, 'sha256', INTEGRITY.sha256(BODY), INTEGRITY.sha256(WRONG));
  const md5 = await tryChecksum(space, 'md5', INTEGRITY.md5(BODY), INTEGRITY.md5(WRONG));
  const crc64 = await tryChecksum(space, 'crc64nvme', crc64nvme('ae8b14860a799888'), crc64nvme('0000000000000000'));
  const found: Readonly<Record<ChecksumKind, string>> = { sha256, md5, none: UNCHECKED };
  const best = bestOf(found, profile.checksum);
  if (best === 'none') await requireAnyPut(space);
  const expectedOf = (kind: ChecksumKind) => (profile.checksum === kind ? CHECKED : undefined);
  const refusedByB2 = settings.provider === 'b2' && !sha256.startsWith('accepted') ? sha256 : undefined;
  return {
    findings: [
      compared('checksum sha256', sha256, expectedOf('sha256') ?? refusedByB2, meaningOf(sha256)),
      compared('checksum md5', md5, expectedOf('md5'), meaningOf(md5)),
      compared('checksum crc64nvme', crc64, undefined, 'Holdfast does not use it'),
    ],
    best,
    integrity: INTEGRITY[best],
    learned: { checksum: best },
  };
}

async function tryChecksum(
  space: S3Space,
  name: string,
  right: Partial<PutObjectCommandInput>,
  wrong: Partial<PutObjectCommandInput>,
): Promise<string> {
  const first = await space.put(`checksum-${name}`, BODY, right);
  if (!first.accepted) return refusalOf(first);
  const second = await space.put(`checksum-${name}-wrong`, BODY, wrong);
  return second.accepted ? UNCHECKED : CHECKED;
}

/** The configured one where it works, else one that is looked at, else one that does no harm. */
function bestOf(found: Readonly<Record<ChecksumKind, string>>, configured: ChecksumKind): ChecksumKind {
  if (found[configured].startsWith('accepted')) return configured;
  const others = (['sha256', 'md5'] as const).toSorted(
    (a, b) => Number(found[b] === CHECKED) - Number(found[a] === CHECKED),
  );
  return others.find((kind) => found[kind].startsWith('accepted')) ?? 'none';
}

async function requireAnyPut(space: S3Space): Promise<void> {
  const plain = await space.put('no-checksum', BODY);
  if (!plain.accepted) throw plain.error;
}

function meaningOf(found: string): string {
  if (found === CHECKED) return 'damage on the way is refused at once';
  if (found === UNCHECKED) return 'damage on the way is found by the read-back only';
  return 'cannot be used';
}

function digest(algorithm: 'sha256' | 'md5', body: Buffer): string {
  return createHash(algorithm).update(body).digest('base64');
}
