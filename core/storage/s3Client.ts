import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { createHash } from 'node:crypto';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { isHoldfastError } from '../errors.ts';
import type { SegmentHashes } from './backend.ts';
import type { Pace } from './pace.ts';
import { credentialSource, mayBeCredentials, type CredentialSource } from './s3Credentials.ts';
import type { LearnedProfile } from './probe/report.ts';
import { s3Error } from './s3Errors.ts';
import { paceBodies } from './s3Pace.ts';
import { s3ProfileOf, type S3BackendSettings, type S3Profile } from './s3Profiles.ts';
import { s3Retry, type S3Retry } from './s3Retry.ts';

const CONNECTION_TIMEOUT = 10_000;
const MAXIMUM_SOCKETS = 64;

/** One bucket with everything needed to speak to it. */
export interface S3Connection {
  readonly backend: string;
  readonly bucket: string;
  /** Empty, or ends with `/`. */
  readonly prefix: string;
  readonly settings: S3BackendSettings;
  readonly profile: S3Profile;
  /** Gives a request up when its socket is idle for `requestTimeout`. */
  readonly client: S3Client;
  /** The same without an idle time-out on the socket: a download waits for whoever reads it. */
  readonly downloads: S3Client;
  readonly retry: S3Retry;
  readonly credentials: CredentialSource;
}

export interface RequestOptions {
  readonly abortSignal?: AbortSignal;
}

export function connectS3(
  backend: string,
  settings: S3BackendSettings,
  pace: Pace,
  learned?: LearnedProfile,
): S3Connection {
  const profile = s3ProfileOf(backend, settings, learned);
  const { requestTimeout } = settings;
  const agentOptions = { keepAlive: true, maxSockets: MAXIMUM_SOCKETS };
  const agents = { httpAgent: new HttpAgent(agentOptions), httpsAgent: new HttpsAgent(agentOptions) };
  const connectionTimeout = Math.min(requestTimeout, CONNECTION_TIMEOUT);
  const credentials = credentialSource(backend, settings);
  const retry = s3Retry(backend);
  const common: S3ClientConfig = {
    region: profile.region,
    ...(profile.endpoint !== undefined && { endpoint: profile.endpoint }),
    forcePathStyle: profile.pathStyle,
    credentials: credentials.provider,
    // One for both clients: throttling is about who asks, not about what for.
    retryStrategy: retry.strategy,
    // Otherwise the SDK adds CRC32 headers of its own, which B2 refuses, and hashes every body once more.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Saves a round trip per segment.
    expectContinueHeader: false,
  };
  const client = new S3Client({
    ...common,
    requestHandler: { ...agents, connectionTimeout, socketTimeout: requestTimeout },
  });
  const downloads = new S3Client({
    ...common,
    requestHandler: { ...agents, connectionTimeout, requestTimeout, throwOnRequestTimeout: true },
  });
  paceBodies(client, pace);
  const prefix = settings.prefix.replace(/^\/+|\/+$/g, '');
  return {
    backend,
    bucket: settings.bucket,
    prefix: prefix === '' ? '' : `${prefix}/`,
    settings,
    profile,
    client,
    downloads,
    retry,
    credentials,
  };
}

/**
 * Runs one request; what it throws becomes a HoldfastError, or the signal's reason once that has aborted. Where the
 * credentials may be why it was refused, it is sent once more with those that have taken their place meanwhile.
 */
export async function request<Result>(
  s3: S3Connection,
  action: string,
  key: string,
  signal: AbortSignal | undefined,
  send: (options: RequestOptions) => Promise<Result>,
): Promise<Result> {
  signal?.throwIfAborted();
  try {
    return await sendWithCurrentCredentials(s3, () => send(signal ? { abortSignal: signal } : {}));
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    const { backend, bucket, credentials, retry } = s3;
    throw s3Error(error, {
      backend,
      bucket,
      action,
      key: s3.prefix + key,
      retryAfter: retry.quietFor(),
      renewable: credentials.renewable,
      credentialNames: credentials.names,
    });
  }
}

async function sendWithCurrentCredentials<Result>(
  { credentials }: S3Connection,
  send: () => Promise<Result>,
): Promise<Result> {
  const used = credentials.generation();
  try {
    return await send();
  } catch (error) {
    if (isHoldfastError(error) || !mayBeCredentials(error) || !(await credentials.renew(used))) throw error;
    return send();
  }
}

/** The integrity members of a PutObject or UploadPart, as the provider wants them. */
export function integrityOf(profile: S3Profile, body: Buffer, hashes: SegmentHashes) {
  if (profile.checksum === 'sha256') return { ChecksumSHA256: hexToBase64(hashes.sha256) };
  if (profile.checksum === 'none') return {};
  const md5 = hashes.md5 ?? createHash('md5').update(body).digest('hex');
  return { ContentMD5: hexToBase64(md5) };
}

/**
 * Hands the signer the body's SHA-256: it takes a `x-amz-content-sha256` header that is already there and hashes the
 * body itself otherwise. The service refuses a body that does not fit it.
 */
export function signWithHash<Command extends WithMiddleware>(command: Command, sha256: string): Command {
  command.middlewareStack.add(
    (next) => (args) => {
      (args as { request: { headers: Record<string, string> } }).request.headers['x-amz-content-sha256'] = sha256;
      return next(args);
    },
    { step: 'build', name: 'knownBodyHash' },
  );
  return command;
}

interface WithMiddleware {
  readonly middlewareStack: {
    add(
      middleware: <Arguments, Result>(next: (args: Arguments) => Result) => (args: Arguments) => Result,
      options: { step: 'build'; name: string },
    ): void;
  };
}

export function hexToBase64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}

/** Headers that only a new object carries. */
export function newObjectOptions({ storageClass, serverSideEncryption }: S3BackendSettings) {
  return {
    ...(storageClass !== undefined && { StorageClass: storageClass as 'STANDARD' }),
    ...(serverSideEncryption !== undefined && { ServerSideEncryption: serverSideEncryption }),
  };
}
