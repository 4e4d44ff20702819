import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { HoldfastError } from '../errors.ts';
import type { Backend, PutOptions, SegmentHashes, StoredObject } from './backend.ts';
import type { LearnedProfile } from './probe/report.ts';
import { checkKey, checkPrefix } from './keys.ts';
import { createPace } from './pace.ts';
import { connectS3, integrityOf, newObjectOptions, request, signWithHash, type S3Connection } from './s3Client.ts';
import { addressInS3, copyWithinS3 } from './s3Copy.ts';
import { openS3Download } from './s3Download.ts';
import { isObjectMissing, s3CodeOf, s3StatusOf } from './s3Errors.ts';
import type { S3BackendSettings } from './s3Profiles.ts';
import { beginS3Upload, type ObjectAccess } from './s3Upload.ts';
import { abortS3Upload, listS3Uploads } from './s3Uploads.ts';

/** A bucket of an S3-compatible service as a backend. Throws InvalidConfiguration; connects on first use. */
export function openS3Backend(name: string, settings: S3BackendSettings, learned?: LearnedProfile): Backend {
  const pace = createPace(settings.bandwidth ?? null);
  const s3 = connectS3(name, settings, pace, learned);
  const head = headWith(s3);
  const objects: ObjectAccess = {
    head,
    putEmpty: async (key, signal) => {
      await put(s3, head, key, Buffer.alloc(0), signal ? { signal } : {});
    },
  };
  return {
    name,
    type: 's3',
    pace,
    put: async (key, body, options = {}) => {
      checkKey(name, s3.prefix + key);
      return put(s3, head, key, body, options);
    },
    beginUpload: async (key, options) => {
      checkKey(name, s3.prefix + key);
      return beginS3Upload(s3, objects, key, options);
    },
    listUploads: async function* (prefix, signal) {
      checkPrefix(name, prefix);
      yield* await listS3Uploads(s3, prefix, signal);
    },
    abortUpload: (upload, signal) => abortS3Upload(s3, upload.key, upload.locator, signal),
    get: async (key, options = {}) => {
      checkKey(name, s3.prefix + key);
      // HTTP has no way to ask for nothing.
      if (options.range && options.range.end <= options.range.start) return Readable.from([]);
      return openS3Download(s3, key, options);
    },
    head: async (key, signal) => {
      checkKey(name, s3.prefix + key);
      return head(key, signal);
    },
    list: (prefix, signal) => list(s3, prefix, signal),
    listDirectories: (prefix, signal) => listDirectories(s3, prefix, signal),
    delete: async (key, signal) => {
      checkKey(name, s3.prefix + key);
      await request(s3, 'delete', key, signal, (options) =>
        s3.client
          .send(new DeleteObjectCommand({ Bucket: s3.bucket, Key: s3.prefix + key }), options)
          .catch(ignoreMissing),
      );
    },
    addressOf: (key) => addressInS3(s3, key),
    copyWithin: async (from, key, bytes, signal) => {
      checkKey(name, s3.prefix + key);
      return copyWithinS3(s3, head, from, key, bytes, signal);
    },
    // No S3 service tells how much room there is.
    capacity: async () => undefined,
    close: () => {
      s3.client.destroy();
      s3.downloads.destroy();
    },
  };
}

type Head = (key: string, signal?: AbortSignal) => Promise<StoredObject | undefined>;

async function put(
  s3: S3Connection,
  head: Head,
  key: string,
  body: Buffer,
  options: PutOptions,
): Promise<'stored' | 'exists'> {
  const { ifAbsent = false, signal } = options;
  const hashes = options.hashes ?? { sha256: createHash('sha256').update(body).digest('hex') };
  const { conditionalPut } = s3.profile;
  if (ifAbsent && conditionalPut !== 'yes' && (await head(key, signal))) return 'exists';
  return request(s3, 'store', key, signal, async (requestOptions) => {
    const send = (conditional: boolean) =>
      s3.client.send(putCommand(s3, key, body, hashes, conditional), requestOptions);
    try {
      await send(ifAbsent && conditionalPut !== 'no');
    } catch (error) {
      if (!ifAbsent) throw error;
      if (s3StatusOf(error) === 412) return 'exists';
      if (conditionalPut !== 'maybe' || s3StatusOf(error) !== 501) throw error;
      // The service does not know the header; the HEAD above has answered already.
      await send(false);
    }
    return 'stored';
  });
}

function putCommand(s3: S3Connection, key: string, body: Buffer, hashes: SegmentHashes, conditional: boolean) {
  const command = new PutObjectCommand({
    Bucket: s3.bucket,
    Key: s3.prefix + key,
    Body: body,
    ...newObjectOptions(s3.settings),
    ...integrityOf(s3.profile, body, hashes),
    ...(conditional && { IfNoneMatch: '*' }),
  });
  return signWithHash(command, hashes.sha256);
}

/** A HEAD has no body to say why it is 404: a bucket that is missing must not look like an object that is. */
function headWith(s3: S3Connection): Head {
  let bucketSeen = false;
  return (key, signal) =>
    request(s3, 'look up', key, signal, async (options) => {
      try {
        const found = await s3.client.send(new HeadObjectCommand({ Bucket: s3.bucket, Key: s3.prefix + key }), options);
        bucketSeen = true;
        return { key, bytes: found.ContentLength ?? 0, modifiedAt: found.LastModified ?? new Date(0) };
      } catch (error) {
        if (!isObjectMissing(error)) throw error;
      }
      if (!bucketSeen) await requireBucket(s3, options);
      bucketSeen = true;
      return undefined;
    });
}

async function requireBucket(s3: S3Connection, options: { abortSignal?: AbortSignal }): Promise<void> {
  try {
    await s3.client.send(new HeadBucketCommand({ Bucket: s3.bucket }), options);
  } catch (error) {
    if (isObjectMissing(error)) {
      throw Object.assign(new Error('The specified bucket does not exist'), { name: 'NoSuchBucket' });
    }
    // Who may not ask about the bucket was still answered 404 about the object.
    if (s3StatusOf(error) !== 403) throw error;
  }
}

async function* list(
  s3: S3Connection,
  prefix: string,
  signal?: AbortSignal,
): AsyncGenerator<StoredObject, void, undefined> {
  for await (const page of pages(s3, prefix, undefined, signal)) {
    for (const { Key, Size, LastModified } of page.Contents ?? []) {
      // A key that ends with `/` is what web consoles leave for an empty folder.
      if (Key === undefined || Key.endsWith('/')) continue;
      yield { key: Key.slice(s3.prefix.length), bytes: Size ?? 0, modifiedAt: LastModified ?? new Date(0) };
    }
  }
}

async function* listDirectories(
  s3: S3Connection,
  prefix: string,
  signal?: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  for await (const page of pages(s3, prefix, '/', signal)) {
    for (const { Prefix } of page.CommonPrefixes ?? []) {
      if (Prefix !== undefined) yield Prefix.slice(s3.prefix.length + prefix.length, -1);
    }
  }
}

async function* pages(s3: S3Connection, prefix: string, delimiter: string | undefined, signal?: AbortSignal) {
  checkPrefix(s3.backend, prefix);
  let token: string | undefined;
  do {
    const continuation: string | undefined = token;
    const page = await request(s3, 'list', prefix, signal, (options) =>
      s3.client.send(
        new ListObjectsV2Command({
          Bucket: s3.bucket,
          Prefix: s3.prefix + prefix,
          ...(delimiter !== undefined && { Delimiter: delimiter }),
          ...(continuation !== undefined && { ContinuationToken: continuation }),
        }),
        options,
      ),
    );
    const next = page.IsTruncated ? page.NextContinuationToken : undefined;
    // The SDK makes an empty page of whatever it is answered; a listing that ends early would hide backups.
    if (page.IsTruncated === undefined || (page.IsTruncated && (next === undefined || next === continuation))) {
      throw noListing(s3, prefix);
    }
    yield page;
    token = next;
  } while (token !== undefined);
}

function noListing(s3: S3Connection, prefix: string): HoldfastError {
  return new HoldfastError(
    'BackendRefused',
    `backend ${s3.backend}: cannot list ${s3.bucket}/${s3.prefix}${prefix}: what answers there does not speak S3, or not ` +
      'all of it: its listing does not say whether more follows, or where to go on',
    {
      advice: 'Check the endpoint of the backend: it is the address of the S3 service, not of its console or website.',
    },
  );
}

function ignoreMissing(error: unknown): void {
  if (s3CodeOf(error) !== 'NoSuchKey') throw error;
}
