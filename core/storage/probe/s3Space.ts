import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type PutObjectCommandOutput,
} from '@aws-sdk/client-s3';
import { messageOf } from '../../errors.ts';
import { sha256Of } from '../localStaging.ts';
import { newObjectOptions, signWithHash, type S3Connection } from '../s3Client.ts';
import { s3CodeOf, s3Error, s3StatusOf } from '../s3Errors.ts';
import { listS3Uploads } from '../s3Uploads.ts';

/** A corner of a bucket that belongs to one probe, and the way to try things there. */
export interface S3Space {
  readonly s3: S3Connection;
  /** Of all its keys, below the backend's prefix; ends with a slash. */
  readonly prefix: string;
  readonly signal: AbortSignal;
  /** Whether the bucket gave a version to anything that was put: a deletion leaves that version behind. */
  readonly keepsVersions: boolean;
  /** The bucket and the full key of a name. */
  at(name: string): { readonly Bucket: string; readonly Key: string };
  /** A put as small as can be. */
  put(name: string, body: Buffer, more?: Partial<PutObjectCommandInput>): Promise<Attempt<PutObjectCommandOutput>>;
  /** Sends a request: a refusal is an answer; what may pass (no connection, 5xx) is thrown. */
  attempt<Answer>(
    action: string,
    send: (options: { abortSignal: AbortSignal }) => Promise<Answer>,
  ): Promise<Attempt<Answer>>;
}

export type Attempt<Answer> =
  | { readonly accepted: true; readonly answer: Answer }
  | { readonly accepted: false; readonly status: number; readonly code: string; readonly error: Error };

export function openS3Space(s3: S3Connection, prefix: string, signal: AbortSignal): S3Space {
  const at = (name: string) => ({ Bucket: s3.bucket, Key: s3.prefix + prefix + name });
  let keepsVersions = false;
  const space: S3Space = {
    s3,
    prefix,
    signal,
    at,
    get keepsVersions() {
      return keepsVersions;
    },
    attempt: (action, send) => attemptWith(s3, prefix, signal, action, send),
    put: async (name, body, more = {}) => {
      const command = new PutObjectCommand({ ...at(name), Body: body, ...newObjectOptions(s3.settings), ...more });
      const send = (options: { abortSignal: AbortSignal }) =>
        s3.client.send(signWithHash(command, sha256Of(body)), options);
      const put = await space.attempt('store', send);
      if (put.accepted && isVersion(put.answer.VersionId)) keepsVersions = true;
      return put;
    },
  };
  return space;
}

/** How a refusal reads in a table. */
export function refusalOf({ status, code }: { readonly status: number; readonly code: string }): string {
  return `refused (${status} ${code})`.replace(' )', ')');
}

/** 501, or 405 of a gateway that passes only what it knows: there is no such function. */
export function isNotImplemented({ status, code }: { readonly status: number; readonly code: string }): boolean {
  return status === 501 || status === 405 || code === 'NotImplemented';
}

/**
 * Removes whatever lies in the space: uploads, objects, and, where the bucket keeps versions and lets go of them, those
 * too. Gives what stayed, each with the reason. Goes on whatever happens, and never rejects.
 */
export async function clearS3Space({ s3, prefix, keepsVersions }: S3Space): Promise<string[]> {
  const reasons = new Map<string, string>();
  const note = (what: string) => (error: unknown) => void reasons.set(what, messageOf(error));
  const attempt = async (what: string, work: () => Promise<unknown>) => {
    await work().catch((error: unknown) =>
      note(what)(s3Error(error, { backend: s3.backend, bucket: s3.bucket, action: 'remove', key: what })),
    );
  };
  await attempt('uploads of the probe', async () => {
    for (const { key, locator } of await listS3Uploads(s3, prefix)) {
      const target = { Bucket: s3.bucket, Key: s3.prefix + key, UploadId: locator };
      await attempt(`the upload of ${key}`, () => s3.client.send(new AbortMultipartUploadCommand(target)));
    }
  });
  await attempt('objects of the probe', async () => {
    for (const Key of await keysIn(s3, prefix)) {
      await attempt(Key, () => s3.client.send(new DeleteObjectCommand({ Bucket: s3.bucket, Key })));
    }
  });
  // Not every service can list versions, and where none are kept nobody misses it.
  if (keepsVersions) {
    await attempt(`versions of ${s3.prefix}${prefix}`, async () => {
      for (const version of await versionsIn(s3, prefix)) {
        const what = `${version.Key}, version ${version.VersionId}`;
        await attempt(what, () => s3.client.send(new DeleteObjectCommand({ Bucket: s3.bucket, ...version })));
      }
    });
  }
  return [...reasons].map(([what, why]) => `${what}: ${why}`);
}

async function attemptWith<Answer>(
  s3: S3Connection,
  prefix: string,
  signal: AbortSignal,
  action: string,
  send: (options: { abortSignal: AbortSignal }) => Promise<Answer>,
): Promise<Attempt<Answer>> {
  signal.throwIfAborted();
  try {
    return { accepted: true, answer: await send({ abortSignal: signal }) };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const status = s3StatusOf(error);
    const described = s3Error(error, { backend: s3.backend, bucket: s3.bucket, action, key: s3.prefix + prefix });
    if (status === undefined || status < 300 || (status >= 500 && status !== 501)) throw described;
    return { accepted: false, status, code: s3CodeOf(error), error: described };
  }
}

/** A page is enough: a probe makes a dozen. */
async function keysIn(s3: S3Connection, prefix: string): Promise<string[]> {
  const { Contents = [] } = await s3.client.send(
    new ListObjectsV2Command({ Bucket: s3.bucket, Prefix: s3.prefix + prefix }),
  );
  return Contents.flatMap(({ Key }) => Key ?? []);
}

async function versionsIn(s3: S3Connection, prefix: string): Promise<{ Key: string; VersionId: string }[]> {
  const { Versions = [], DeleteMarkers = [] } = await s3.client.send(
    new ListObjectVersionsCommand({ Bucket: s3.bucket, Prefix: s3.prefix + prefix }),
  );
  return [...Versions, ...DeleteMarkers].flatMap(({ Key, VersionId }) =>
    Key !== undefined && isVersion(VersionId) ? [{ Key, VersionId }] : [],
  );
}

/** `null` is the name of the one version in a bucket that keeps none. */
function isVersion(id: string | undefined): id is string {
  return id !== undefined && id !== 'null';
}
