import type { Readable } from 'node:stream';
import type { Pace } from './pace.ts';

/**
 * One storage: a local directory or a bucket. The whole of what the rest of Holdfast may ask of it.
 *
 * Keys are relative to the backend's configured root or prefix, use `/`, never start with one and never contain `..`.
 * Every method rejects with a HoldfastError: `BackendUnreachable` for what may pass (its own short retries are already
 * used up then), `BackendRefused` for what will not (credentials, permission, no such bucket, no space), `ObjectMissing`
 * for a key that is not there. Messages name the backend and the key. Every method stops soon after `signal` aborts and
 * then rejects with the signal's reason.
 */
export interface Backend {
  readonly name: string;
  readonly type: 'local' | 's3';
  /** How fast it is sent to. `put` and `putSegment` keep to it by themselves, tries of a request included. */
  readonly pace: Pace;

  /**
   * Stores a small object whole (at most one segment). Atomic: a reader sees all of it or nothing. Durable when it
   * resolves. Repeating it with the same bytes is harmless.
   * With `ifAbsent`, an existing object is left alone and the answer is `exists`; where the storage has no conditional
   * write this is checked by HEAD just before, which two writers can race. `exists` can also mean an own first try that
   * took effect and whose answer was lost: who must know compares the bytes.
   */
  put(key: string, body: Buffer, options?: PutOptions): Promise<'stored' | 'exists'>;

  /**
   * Opens an upload of an object in segments. Nothing is visible under `key` until `complete` resolves.
   * `resume` names an upload that an earlier process began; if the backend no longer knows it, a new one is begun.
   */
  beginUpload(key: string, options: BeginUploadOptions): Promise<Upload>;

  /** Uploads begun under this key prefix and neither completed nor aborted, oldest first. */
  listUploads(prefix: string, signal?: AbortSignal): AsyncIterable<PendingUpload>;

  /**
   * Aborts an upload known only from `listUploads`. Unknown uploads are not an error. A locator is known to be dead
   * once this resolves.
   */
  abortUpload(upload: PendingUpload, signal?: AbortSignal): Promise<void>;

  /** The object's bytes. `range` is in bytes, `end` exclusive. Destroy the stream to stop early. */
  get(key: string, options?: GetOptions): Promise<Readable>;

  /** Size and age of the object, or undefined when there is none. */
  head(key: string, signal?: AbortSignal): Promise<StoredObject | undefined>;

  /** Every object under a key prefix in ascending key order, however many there are. */
  list(prefix: string, signal?: AbortSignal): AsyncIterable<StoredObject>;

  /** The next path elements below `prefix` (which ends with `/` or is empty), without listing what lies under them. */
  listDirectories(prefix: string, signal?: AbortSignal): AsyncIterable<string>;

  /** Deletes one object. Deleting what is not there is not an error. */
  delete(key: string, signal?: AbortSignal): Promise<void>;

  /** Room on the storage in bytes, where it can be known. */
  capacity(): Promise<Capacity | undefined>;

  /** Where the service itself finds an object of this backend. Missing on storages that copy nothing by themselves. */
  readonly addressOf?: (key: string) => ObjectAddress;

  /**
   * Has the service copy an object of `bytes` bytes from another of its buckets, without the bytes passing here. Missing
   * where the storage cannot. `refused` means that nothing was written and that the bytes have to be sent: another
   * service, no right to read there, a server that lacks the function. What was copied is as right as its source was.
   */
  readonly copyWithin?: (
    from: ObjectAddress,
    key: string,
    bytes: number,
    signal?: AbortSignal,
  ) => Promise<'copied' | 'refused'>;

  /** Lets go of sockets and handles. */
  close(): void;
}

/** An object as the service that holds it names it. */
export interface ObjectAddress {
  /** The same text for buckets that the same service serves at the same place. */
  readonly service: string;
  readonly bucket: string;
  /** With the backend's prefix. */
  readonly key: string;
}

/** One object on its way, segment by segment. Segments may be sent in any order and side by side. */
export interface Upload {
  readonly key: string;
  /** The backend's own name for this upload, enough to resume it from another process. */
  readonly locator: string;
  /** Sends segment `number` (from 1). All but the last have the `segmentSize` given at the beginning. Repeatable. */
  putSegment(number: number, body: Buffer, hashes: SegmentHashes, signal?: AbortSignal): Promise<void>;
  /** What the backend has already; the truth when resuming. */
  listSegments(signal?: AbortSignal): Promise<UploadedSegment[]>;
  /**
   * Makes the object visible. Resolves only when an object of exactly `bytes` bytes stands under the key. A complete
   * that timed out after it took effect resolves.
   */
  complete(expected: { segments: number; bytes: number }, signal?: AbortSignal): Promise<void>;
  /**
   * Whether what `complete` threw is the fault of this upload: the storage answered, and would answer so again, as for an
   * upload that was aborted while segments of it were on their way. Missing where that cannot happen.
   */
  readonly isBroken?: (error: unknown) => boolean;
  abort(signal?: AbortSignal): Promise<void>;
}

export interface PutOptions {
  readonly ifAbsent?: boolean;
  /** Known hashes of `body`, so that nothing is hashed twice. */
  readonly hashes?: SegmentHashes;
  readonly signal?: AbortSignal;
}

export interface BeginUploadOptions {
  readonly segmentSize: number;
  readonly resume?: string;
  readonly signal?: AbortSignal;
}

export interface GetOptions {
  readonly range?: { readonly start: number; readonly end: number };
  readonly signal?: AbortSignal;
}

/** Hashes of one segment, as lower-case hex; `md5` is there where a backend of the plan asks for it. */
export interface SegmentHashes {
  readonly sha256: string;
  readonly md5?: string | undefined;
}

export interface UploadedSegment {
  readonly number: number;
  readonly bytes: number;
  readonly sha256?: string | undefined;
}

export interface PendingUpload {
  readonly key: string;
  readonly locator: string;
  readonly begunAt: Date;
}

export interface StoredObject {
  readonly key: string;
  readonly bytes: number;
  readonly modifiedAt: Date;
}

export interface Capacity {
  readonly totalBytes: number;
  readonly freeBytes: number;
}
