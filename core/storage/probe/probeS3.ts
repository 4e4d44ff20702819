import { HoldfastError, isHoldfastError, messageOf } from '../../errors.ts';
import { connectS3, type S3Connection } from '../s3Client.ts';
import type { S3BackendSettings } from '../s3Profiles.ts';
import { createPace } from '../pace.ts';
import { newProbePrefix } from './probeKeys.ts';
import { stateOf, type LearnedProfile, type ProbeFinding, type ProbeReport } from './report.ts';
import { clockFinding, probeBucket } from './s3Bucket.ts';
import { probeChecksums } from './s3Checksums.ts';
import { probeMultipart } from './s3Multipart.ts';
import { probeConditionalPut, probeCopy, probeDeletion, probeReading } from './s3Objects.ts';
import { clearS3Space, openS3Space, type S3Space } from './s3Space.ts';

/** Which bucket it is, for who compares two probes: no secret in it. */
export function s3PlaceOf({ provider, endpoint, accountId, region, bucket, prefix }: S3BackendSettings): string {
  return [endpoint ?? accountId ?? region ?? provider, bucket, ...(prefix === '' ? [] : [prefix])].join(' ');
}

/**
 * Finds out what a bucket can do by trying, in a prefix of its own that is emptied again whatever happens. What comes in
 * the way of one trial does not keep the others from being made. Throws BackendUnreachable or BackendRefused when
 * nothing can be stored at all.
 */
export async function probeS3(name: string, settings: S3BackendSettings, signal: AbortSignal): Promise<ProbeReport> {
  const s3 = connectS3(name, settings, createPace(settings.bandwidth ?? null));
  const clock = watchClock(s3);
  const space = openS3Space(s3, newProbePrefix(), signal);
  try {
    const { findings, learned } = await tryAll(space).catch(async (error: unknown) => {
      throw withRemains(error, await clearS3Space(space));
    });
    const leftBehind = await clearS3Space(space);
    const all = [...findings, clockFinding(clock.skew())];
    return {
      backend: name,
      place: s3PlaceOf(settings),
      at: new Date().toISOString(),
      state: stateOf(all, leftBehind),
      findings: all,
      learned,
      leftBehind,
    };
  } finally {
    s3.client.destroy();
    s3.downloads.destroy();
  }
}

/** Who is told that nothing could be tried is told what lies there all the same. */
function withRemains(error: unknown, leftBehind: readonly string[]): unknown {
  // A storage that does not answer has nothing of ours, or nothing that could be named.
  if (leftBehind.length === 0 || !isHoldfastError(error) || error.type !== 'Cancelled') return error;
  return new HoldfastError(error.type, `${error.message}; the probe could not remove ${leftBehind.join('; ')}`, {
    cause: error,
  });
}

async function tryAll(space: S3Space): Promise<{ findings: ProbeFinding[]; learned: LearnedProfile }> {
  const checksums = await probeChecksums(space);
  const { integrity, best } = checksums;
  const findings: ProbeFinding[] = [...checksums.findings];
  let learned: LearnedProfile = checksums.learned;
  let locksNewObjects = false;
  await untriedOtherwise(space, findings, 'bucket', async () => {
    const bucket = await probeBucket(space);
    locksNewObjects = bucket.locksNewObjects;
    return bucket.findings;
  });
  await untriedOtherwise(space, findings, 'conditional put', async () => {
    const conditional = await probeConditionalPut(space, integrity);
    learned = { ...learned, ...conditional.learned };
    return conditional.findings;
  });
  await untriedOtherwise(space, findings, 'reading', () => probeReading(space, integrity));
  await untriedOtherwise(space, findings, 'multipart upload', () =>
    probeMultipart(space, best, { complete: !locksNewObjects }),
  );
  await untriedOtherwise(space, findings, 'server-side copy', () => probeCopy(space, integrity));
  await untriedOtherwise(space, findings, 'deletion', () => probeDeletion(space, integrity));
  return { findings, learned };
}

async function untriedOtherwise(
  { signal }: S3Space,
  findings: ProbeFinding[],
  what: string,
  trial: () => Promise<readonly ProbeFinding[]>,
): Promise<void> {
  try {
    findings.push(...(await trial()));
  } catch (error) {
    signal.throwIfAborted();
    if (!isHoldfastError(error)) throw error;
    findings.push({ what, found: 'could not be tried', state: 'untried', meaning: messageOf(error) });
  }
}

/** Every answer of an HTTP server carries its time (RFC 9110, section 6.6.1). */
function watchClock(s3: S3Connection): { skew(): number | undefined } {
  let skew: number | undefined;
  s3.client.middlewareStack.add(
    (next) => async (args) => {
      const sent = Date.now();
      const result = await next(args);
      const { headers } = (result.response ?? {}) as { headers?: Readonly<Record<string, string>> };
      const time = Date.parse(headers?.['date'] ?? '');
      if (!Number.isNaN(time)) skew = time - (sent + Date.now()) / 2;
      return result;
    },
    { step: 'deserialize', name: 'watchClock', priority: 'low' },
  );
  return { skew: () => skew };
}
