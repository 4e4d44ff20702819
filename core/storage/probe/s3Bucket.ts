import {
  GetBucketLifecycleConfigurationCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
} from '@aws-sdk/client-s3';
import { formatDuration } from '../../format.ts';
import { compared, type ProbeFinding } from './report.ts';
import { isNotImplemented, refusalOf, type Attempt, type S3Space } from './s3Space.ts';

/** How the bucket is set up, as far as this key may ask. Nothing is changed. */
export async function probeBucket(space: S3Space): Promise<{ findings: ProbeFinding[]; locksNewObjects: boolean }> {
  const { s3 } = space;
  const Bucket = s3.bucket;
  const lock = await space.attempt('ask for the object lock of', (options) =>
    s3.client.send(new GetObjectLockConfigurationCommand({ Bucket }), options),
  );
  const versioning = await space.attempt('ask for the versioning of', (options) =>
    s3.client.send(new GetBucketVersioningCommand({ Bucket }), options),
  );
  const lifecycle = await space.attempt('ask for the lifecycle of', (options) =>
    s3.client.send(new GetBucketLifecycleConfigurationCommand({ Bucket }), options),
  );
  const { ObjectLockEnabled, Rule } = (lock.accepted && lock.answer.ObjectLockConfiguration) || {};
  const retention = Rule?.DefaultRetention;
  const locked = retention
    ? `on, ${retention.Days ?? 365 * (retention.Years ?? 0)} days ${retention.Mode ?? ''}`
    : 'on';
  const rules = lifecycle.accepted ? (lifecycle.answer.Rules ?? []).length : 0;
  return {
    locksNewObjects: retention !== undefined,
    findings: [
      compared(
        'object lock',
        ObjectLockEnabled === 'Enabled'
          ? locked.trim()
          : unanswered(lock, 'off', ['ObjectLockConfigurationNotFoundError']),
        undefined,
        retention
          ? 'copies cannot be removed before their time, and neither can what a failed run leaves'
          : 'copies can be removed by who has this key',
      ),
      compared(
        'versioning',
        versioning.accepted ? (versioning.answer.Status ?? 'off').toLowerCase() : unanswered(versioning, 'off', []),
        undefined,
        'where it is on, a deleted object keeps its bytes until a lifecycle rule removes them',
      ),
      compared(
        'lifecycle rules',
        lifecycle.accepted ? `${rules} set` : unanswered(lifecycle, 'none set', ['NoSuchLifecycleConfiguration']),
        undefined,
        'they can remove old versions and abort stale uploads',
      ),
    ],
  };
}

/** S3 refuses requests of a clock that is off by more ("RequestTimeTooSkewed"). */
const REFUSED_SKEW = 15 * 60_000;
const TOLERATED_SKEW = 60_000;

/** `skew` in milliseconds: how far the service's clock is ahead of ours. */
export function clockFinding(skew: number | undefined): ProbeFinding {
  const off = Math.abs(skew ?? 0);
  // Answers carry their time in whole seconds.
  const found = skew === undefined ? 'not told' : off < TOLERATED_SKEW ? 'the same' : `${formatDuration(off)} off`;
  const meaning = `more than ${formatDuration(REFUSED_SKEW)} are refused; keep this host's clock by NTP`;
  return compared('clock', found, skew === undefined ? undefined : 'the same', meaning);
}

function unanswered(attempt: Attempt<unknown>, none: string, codesOfNone: readonly string[]): string {
  if (attempt.accepted) return none;
  if (codesOfNone.includes(attempt.code) || attempt.status === 404) return none;
  return isNotImplemented(attempt) ? 'not supported' : refusalOf(attempt);
}
