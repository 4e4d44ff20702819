import { codeOf, HoldfastError, messageOf, type ErrorType } from '../errors.ts';

/** What was being done, for messages. */
export interface S3Action {
  readonly backend: string;
  readonly bucket: string;
  /** A verb, e.g. `store`. */
  readonly action: string;
  /** The full key in the bucket, or a prefix. */
  readonly key: string;
  /** Milliseconds for which the service asked to be left alone. */
  readonly retryAfter?: number;
  /** Whether the credentials are somewhere where they can be replaced. */
  readonly renewable?: boolean;
  /** Where access key id and secret are set, for hints. Unset: in the configuration of the backend. */
  readonly credentialNames?: string | undefined;
}

interface Meaning {
  readonly type: ErrorType;
  readonly what?: string;
  readonly advice?: string;
  readonly retryable?: boolean;
}

/** The error of the SDK, of the service or of the network in Holdfast's words. Errors of our own pass unchanged. */
export function s3Error(error: unknown, doing: S3Action): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const { backend, bucket, action, key, retryAfter } = doing;
  const { type, what, advice, retryable } = meaningOf(error, doing);
  const code = s3CodeOf(error);
  // What the SDK says of a body it cannot parse is for who has its source at hand.
  const message = isNoS3Answer(error) ? '' : messageOf(error);
  const said = [code, message].filter((text, index, all) => text !== '' && all.indexOf(text) === index);
  return new HoldfastError(
    type,
    `backend ${backend}: cannot ${action} ${bucket}/${key}: ` +
      [what, said.length > 0 && `(${said.join(': ')})`].filter(Boolean).join(' '),
    {
      cause: plainCause(error),
      ...(advice && { advice }),
      ...(retryable !== undefined && { retryable }),
      ...(retryAfter && { retryAfter }),
    },
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

/** Statuses that say nothing of the upload: permission, throttling, a gateway's word for a service that is away, no room. */
const NOT_OF_THE_UPLOAD = new Set([401, 403, 408, 425, 429, 502, 503, 504, 507]);

/** Whether completing an upload failed by an answer that is about this upload. Of errors as `s3Error` makes them. */
export function isUploadBroken(error: unknown): boolean {
  if (!(error instanceof HoldfastError)) return false;
  // What was found under the key after a Complete that was well answered.
  if (error.type === 'ObjectDamaged') return true;
  const status = (error.cause as { status?: unknown } | undefined)?.status;
  return typeof status === 'number' && !NOT_OF_THE_UPLOAD.has(status);
}

export function isObjectMissing(error: unknown): boolean {
  return ['NoSuchKey', 'NotFound'].includes(s3CodeOf(error));
}

/** Codes as in "Error responses" of the Amazon S3 API reference, and those of R2, B2 and the network. */
const MEANINGS: Readonly<Record<string, (doing: S3Action) => Meaning>> = {
  NoSuchKey: () => ({ type: 'ObjectMissing', what: 'there is no such object' }),
  NotFound: () => ({ type: 'ObjectMissing', what: 'there is no such object' }),
  NoSuchBucket: ({ bucket }) => ({
    type: 'BackendRefused',
    what: 'there is no such bucket',
    advice: `Create the bucket ${bucket}, or correct bucket, region and endpoint of the backend.`,
  }),
  NoSuchUpload: () => ({
    type: 'BackendUnreachable',
    what: 'the upload is gone, aborted or completed by somebody',
    advice: 'It begins anew on the next attempt.',
  }),
  InvalidAccessKeyId: (doing) => wrongKey('the access key id is not known there', doing),
  InvalidAccessKey: (doing) => wrongKey('the access key id is not known there', doing),
  // versitygw's name for it.
  XAdminUserNotFound: (doing) => wrongKey('the access key id is not known there', doing),
  SignatureDoesNotMatch: (doing) => wrongKey('the secret access key does not fit the access key id', doing),
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
  ExpiredTokenException: expired,
  TokenRefreshRequired: expired,
  InvalidToken: expired,
  CredentialsProviderError: (doing) => ({
    type: 'BackendRefused',
    what: 'no credentials were found',
    advice: `Set ${namesOf(doing)}, or provide the default AWS credential chain.`,
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

/** "Error responses" of the Amazon S3 API reference: RequestTimeTooSkewed. */
const TOLERATED_CLOCK_DIFFERENCE = 15 * 60_000;
/** What the SDK calls a refusal without a body is no reason. */
const NAMED_REASONS = /^(?!Forbidden$|BadRequest$|Unknown|\d+$)./;

/** Milliseconds between this host's clock and the date of the service's answer. */
function clockDifference(error: unknown): number {
  const response = error instanceof Error && '$response' in error ? error.$response : undefined;
  const date = (response as { headers?: Record<string, string> } | undefined)?.headers?.['date'];
  const difference = Math.abs(Date.now() - Date.parse(date ?? ''));
  return Number.isNaN(difference) ? 0 : difference;
}

/** Statuses that may pass: time-outs, conflicts, throttling and every failure of the server itself. */
const PASSING_STATUSES = new Set([408, 409, 425, 429]);

function meaningOf(error: unknown, doing: S3Action): Meaning {
  const status = s3StatusOf(error);
  const refused = status === 400 || status === 403;
  // The answer to a HEAD has no body to name the reason; its date does.
  if (refused && !NAMED_REASONS.test(s3CodeOf(error)) && clockDifference(error) > TOLERATED_CLOCK_DIFFERENCE) {
    return clockWrong();
  }
  const known = MEANINGS[s3CodeOf(error)] ?? MEANINGS[codeOf(error) ?? ''];
  if (known) return known(doing);
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
    advice: 'Check the endpoint and the network.',
  };
}

function wrongKey(what: string, doing: S3Action): Meaning {
  return { type: 'BackendRefused', what, advice: `Check ${namesOf(doing)}.` };
}

function namesOf({ credentialNames = 'accessKeyId and secretAccessKey of the backend' }: S3Action): string {
  return credentialNames;
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

/** Whoever renews credentials in a file may be a little late. */
function expired({ renewable }: S3Action): Meaning {
  return {
    type: 'BackendRefused',
    what: 'the session token has expired or is not valid',
    advice: 'Renew the temporary credentials of the backend, or use a long-lived access key.',
    ...(renewable && { retryable: true }),
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
