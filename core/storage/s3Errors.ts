import { codeOf, HoldfastError, messageOf, type ErrorType } from '../errors.ts';

/** What was being done, for messages. */
export interface S3Action {
  readonly backend: string;
  readonly bucket: string;
  /** A verb, e.g. `store`. */
  readonly action: string;
  /** The full key in the bucket, or a prefix. */
  readonly key: string;
}

interface Meaning {
  readonly type: ErrorType;
  readonly what?: string;
  readonly advice?: string;
  readonly retryable?: boolean;
}

/** The error of the SDK, of the service or of the network in Holdfast's words. Errors of our own pass unchanged. */
export function s3Error(error: unknown, { backend, bucket, action, key }: S3Action): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const { type, what, advice, retryable } = meaningOf(error, bucket);
  const code = s3CodeOf(error);
  // What the SDK says of a body it cannot parse is for who has its source at hand.
  const message = isNoS3Answer(error) ? '' : messageOf(error);
  const said = [code, message].filter((text, index, all) => text !== '' && all.indexOf(text) === index);
  return new HoldfastError(
    type,
    `backend ${backend}: cannot ${action} ${bucket}/${key}: ` +
      [what, said.length > 0 && `(${said.join(': ')})`].filter(Boolean).join(' '),
    { cause: plainCause(error), ...(advice && { advice }), ...(retryable !== undefined && { retryable }) },
  );
}

/** S3's own name for an error (`NoSuchKey`, ...), else the name of the system or network error. */
export function s3CodeOf(error: unknown): string {
  const name = error instanceof Error ? error.name : '';
  return name !== '' && name !== 'Error' ? name : (codeOf(error) ?? '');
}

export function s3StatusOf(error: unknown): number | undefined {
  const metadata = error instanceof Error && '$metadata' in error ? error.$metadata : undefined;
  const status = (metadata as { httpStatusCode?: unknown } | undefined)?.httpStatusCode;
  return typeof status === 'number' ? status : undefined;
}

/** The body of the answer is not the XML that S3 speaks: a web page, or another service's JSON. */
function isNoS3Answer(error: unknown): boolean {
  return messageOf(error).includes('Deserialization error');
}

/** The upload is not known: completed, aborted, or never there. */
export function isUploadUnknown(error: unknown): boolean {
  return s3CodeOf(error) === 'NoSuchUpload';
}

export function isObjectMissing(error: unknown): boolean {
  return ['NoSuchKey', 'NotFound'].includes(s3CodeOf(error));
}

/** Codes as in "Error responses" of the Amazon S3 API reference, and those of R2, B2 and the network. */
const MEANINGS: Readonly<Record<string, (bucket: string) => Meaning>> = {
  NoSuchKey: () => ({ type: 'ObjectMissing', what: 'there is no such object' }),
  NotFound: () => ({ type: 'ObjectMissing', what: 'there is no such object' }),
  NoSuchBucket: (bucket) => ({
    type: 'BackendRefused',
    what: 'there is no such bucket',
    advice: `Create the bucket ${bucket}, or correct bucket, region and endpoint of the backend.`,
  }),
  NoSuchUpload: () => ({
    type: 'BackendUnreachable',
    what: 'the upload is gone, aborted or completed by somebody',
    advice: 'It begins anew on the next attempt.',
  }),
  InvalidAccessKeyId: () => wrongKey('the access key id is not known there'),
  InvalidAccessKey: () => wrongKey('the access key id is not known there'),
  // versitygw's name for it.
  XAdminUserNotFound: () => wrongKey('the access key id is not known there'),
  SignatureDoesNotMatch: () => wrongKey('the secret access key does not fit the access key id'),
  AuthorizationHeaderMalformed: () => ({
    type: 'BackendRefused',
    what: 'the bucket is in another region',
    advice: 'Correct the region of the backend.',
  }),
  PermanentRedirect: () => ({
    type: 'BackendRefused',
    what: 'the bucket is at another address',
    advice: 'Correct the region or the endpoint of the backend.',
  }),
  AccessDenied: denied,
  Forbidden: denied,
  AllAccessDisabled: denied,
  AccountProblem: denied,
  ExpiredToken: expired,
  TokenRefreshRequired: expired,
  InvalidToken: expired,
  CredentialsProviderError: () => ({
    type: 'BackendRefused',
    what: 'no credentials were found',
    advice: 'Set accessKeyId and secretAccessKey of the backend, or provide the default AWS credential chain.',
  }),
  RequestTimeTooSkewed: clockWrong,
  RequestExpired: clockWrong,
  RequestInTheFuture: clockWrong,
  QuotaExceeded: full,
  InsufficientCapacity: full,
  StorageFull: full,
  XMinioStorageFull: full,
  EntityTooLarge: () => ({
    type: 'BackendRefused',
    what: 'it is larger than the service takes',
    advice: 'Lower spool.segmentSize for a segment, or check the service’s limit for one object.',
  }),
  BadDigest: damaged,
  InvalidDigest: damaged,
  XAmzContentSHA256Mismatch: damaged,
  XAmzContentChecksumMismatch: damaged,
  InvalidRange: () => ({ type: 'InvalidInput', what: 'the range starts beyond the end of the object' }),
  InvalidObjectState: () => ({
    type: 'BackendRefused',
    what: 'the object is archived',
    advice: 'Restore it from the archive tier at the provider first.',
  }),
  // Only the rest of a download asks for a condition that ends here.
  PreconditionFailed: () => ({ type: 'BackendUnreachable', what: 'the object was replaced while it was read' }),
  ConditionalRequestConflict: () => ({ type: 'BackendUnreachable', what: 'another writer is at the same key' }),
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  CERT_HAS_EXPIRED: untrusted,
  ERR_TLS_CERT_ALTNAME_INVALID: untrusted,
  ENOTFOUND: () => ({
    type: 'BackendUnreachable',
    what: 'the host name is not known',
    advice: 'Check the endpoint (or region, account id) of the backend and the DNS of this host.',
  }),
};

/** Statuses that may pass: time-outs, conflicts, throttling and every failure of the server itself. */
const PASSING_STATUSES = new Set([408, 409, 425, 429]);

function meaningOf(error: unknown, bucket: string): Meaning {
  const known = MEANINGS[s3CodeOf(error)] ?? MEANINGS[codeOf(error) ?? ''];
  if (known) return known(bucket);
  const status = s3StatusOf(error);
  if (status === 403) return denied();
  if (status === 507) return full();
  // A server that lacks a function will not have it on the next try either (RFC 9110, section 15.6.2).
  if (status === 501) return unsupported();
  // A gateway on the way answers 5xx with a page of its own while the service behind it is away.
  if (isNoS3Answer(error) && (status ?? 0) < 500) return noS3(status);
  if (status !== undefined && status >= 300 && status < 500 && !PASSING_STATUSES.has(status)) {
    return {
      type: 'BackendRefused',
      what: `the service refuses with status ${status}`,
      advice: 'Check provider, endpoint, checksum, storageClass and serverSideEncryption of the backend.',
    };
  }
  return {
    type: 'BackendUnreachable',
    what: status === undefined ? 'the service cannot be reached' : `the service fails with status ${status}`,
    advice: 'Check the endpoint and the network; it is tried again.',
  };
}

function wrongKey(what: string): Meaning {
  return { type: 'BackendRefused', what, advice: 'Check accessKeyId and secretAccessKey of the backend.' };
}

function denied(): Meaning {
  return {
    type: 'BackendRefused',
    what: 'permission denied',
    advice:
      'Allow this access key to list the bucket, to read, write and delete objects, and to list and abort multipart ' +
      'uploads below the prefix; check the account’s caps.',
  };
}

function expired(): Meaning {
  return {
    type: 'BackendRefused',
    what: 'the session token has expired or is not valid',
    advice: 'Renew the temporary credentials of the backend, or use a long-lived access key.',
  };
}

function clockWrong(): Meaning {
  return {
    type: 'BackendRefused',
    what: `the clock of this host (${new Date().toISOString()}) differs too much from the service’s`,
    advice: 'Set the clock of this host by NTP; more than 15 minutes are refused.',
  };
}

function unsupported(): Meaning {
  return {
    type: 'BackendRefused',
    what: 'the service does not know a header or function that was used',
    advice:
      'Set checksum: md5 (or none) for the backend; if that is not it, leave storageClass and serverSideEncryption out.',
  };
}

function noS3(status: number | undefined): Meaning {
  return {
    type: 'BackendRefused',
    what: `what answers${status === undefined ? '' : ` with status ${status}`} there does not speak S3`,
    advice: 'Check the endpoint of the backend: it is the address of the S3 service, not of its console or website.',
  };
}

function full(): Meaning {
  return { type: 'BackendRefused', what: 'no space left', advice: 'Free space in the bucket or raise its quota.' };
}

function damaged(): Meaning {
  return {
    type: 'ObjectDamaged',
    what: 'what arrived does not have the hash given',
    advice: 'Memory, the spool or the network changed the bytes; test them if it happens again.',
    retryable: true,
  };
}

function untrusted(): Meaning {
  return {
    type: 'BackendRefused',
    what: 'its TLS certificate is not trusted',
    advice: 'Correct the endpoint, or make the CA known to Node.js by NODE_EXTRA_CA_CERTS.',
  };
}

/** The SDK's errors carry requests and responses, session tokens among them: only what tells the story is kept. */
function plainCause(error: unknown): Error {
  const cause = new Error(messageOf(error));
  cause.name = s3CodeOf(error) || 'Error';
  if (error instanceof Error && error.stack !== undefined) cause.stack = error.stack;
  return Object.assign(cause, { status: s3StatusOf(error) });
}
