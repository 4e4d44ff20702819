import type { Readable } from 'node:stream';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import type { HoldfastError } from '../errors.ts';
import type { GetOptions } from './backend.ts';
import { readableOf } from './download.ts';
import { request, type S3Connection } from './s3Client.ts';
import { s3Error } from './s3Errors.ts';

/** How often in a row a body may break off before it brought so much, until the download is given up. */
const FRUITLESS_ATTEMPTS = 3;
/** A connection that breaks after every few bytes would otherwise take days over an object, and never fail. */
const FRUITFUL_BYTES = 2 ** 18;

interface OpenedBody {
  readonly body: Readable;
  readonly bytes: number;
  readonly etag: string | undefined;
}

/** Opens an object; a body that breaks off is continued from the byte it broke at, by the same version only. */
export async function openS3Download(s3: S3Connection, key: string, options: GetOptions): Promise<Readable> {
  const { range, signal } = options;
  const start = range?.start ?? 0;
  const first = await openBody(s3, key, range && `bytes=${start}-${range.end - 1}`, undefined, signal);
  let current = first.body;
  const produce = async function* (stopped: AbortSignal) {
    let received = 0;
    for (let fruitless = 0; ; fruitless += 1) {
      const before = received;
      try {
        for await (const chunk of watched(s3, current)) {
          received += chunk.length;
          if (received - before >= FRUITFUL_BYTES) fruitless = 0;
          yield chunk;
        }
        if (received === first.bytes) return;
        throw new Error(`the body ended after ${received} of ${first.bytes} bytes`);
      } catch (error) {
        if (stopped.aborted) return;
        if (fruitless >= FRUITLESS_ATTEMPTS || received >= first.bytes) throw readError(s3, key, error);
      }
      const rest = `bytes=${start + received}-${start + first.bytes - 1}`;
      current = (await openBody(s3, key, rest, first.etag, stopped)).body;
    }
  };
  return readableOf(
    {
      produce: (stopped) => {
        // A destroyed body ends the wait for a chunk that never comes.
        stopped.addEventListener('abort', () => current.destroy(), { once: true });
        return produce(stopped);
      },
      release: () => void current.destroy(),
    },
    signal,
  );
}

async function openBody(
  s3: S3Connection,
  key: string,
  range: string | undefined,
  etag: string | undefined,
  signal: AbortSignal | undefined,
): Promise<OpenedBody> {
  const answer = await request(s3, 'read', key, signal, (options) =>
    s3.downloads.send(
      new GetObjectCommand({
        Bucket: s3.bucket,
        Key: s3.prefix + key,
        ...(range !== undefined && { Range: range }),
        ...(etag !== undefined && { IfMatch: etag }),
      }),
      options,
    ),
  );
  const body = answer.Body as Readable | undefined;
  if (body === undefined || answer.ContentLength === undefined) {
    throw readError(s3, key, new Error('the answer has no body or no length'));
  }
  // Between here and the first read nobody listens; an error is found again then, as a body that ended early.
  body.on('error', () => undefined);
  return { body, bytes: answer.ContentLength, etag: answer.ETag };
}

/** The body's chunks. Only time spent waiting for the service counts as a stall, never the reader's own. */
async function* watched(s3: S3Connection, body: Readable): AsyncGenerator<Buffer, void, undefined> {
  const { requestTimeout } = s3.settings;
  let waitingSince: number | undefined = performance.now();
  const timer = setInterval(
    () => {
      if (waitingSince === undefined || performance.now() - waitingSince < requestTimeout) return;
      body.destroy(new Error(`no byte arrived for ${requestTimeout} ms`));
    },
    Math.min(requestTimeout, 1_000),
  );
  try {
    for await (const chunk of body) {
      waitingSince = undefined;
      yield chunk as Buffer;
      waitingSince = performance.now();
    }
  } finally {
    clearInterval(timer);
  }
}

function readError(s3: S3Connection, key: string, error: unknown): HoldfastError {
  return s3Error(error, { backend: s3.backend, bucket: s3.bucket, action: 'read', key: s3.prefix + key });
}
