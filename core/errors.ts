/**
 * Every way Holdfast can fail, by name. The names are part of the contract: they are Temporal failure types, they stand
 * in `--json` output, and the exit code of a command follows from them.
 */
export const ERROR_TYPES = {
  /** What was asked for makes no sense: a bad workflow input, an unknown flag, a backup that does not exist. */
  InvalidInput: { retryable: false },
  /** holdfast.yaml, or a secret or key file it points at, cannot be used. */
  InvalidConfiguration: { retryable: false },
  /** A program Holdfast needs is not installed, or too old for the job. */
  ToolMissing: { retryable: false },
  /** The database server cannot be reached right now. */
  SourceUnreachable: { retryable: true },
  /** The database server refuses this role, password or database, or something in it cannot be read by this role. */
  SourceRefused: { retryable: false },
  /** What was read is too small, empty, or not what was backed up last time. */
  FloorViolated: { retryable: false },
  /** A dump or archive program failed, or its output cannot be trusted. */
  DumpFailed: { retryable: true },
  /** A server does not take what a backup holds: an object cannot be created, or rows cannot be loaded. */
  RestoreFailed: { retryable: false },
  /** A process or transfer made no progress for too long. */
  Stalled: { retryable: true },
  /** A file tree is missing or cannot be read as the plan demands. */
  FilesUnreadable: { retryable: false },
  /** The system refuses what every program needs: room, a permission, open files, a disk that reads and writes. */
  HostFailed: { retryable: true },
  /** The spool is full, read-only or failing. */
  SpoolFailed: { retryable: true },
  /** A storage does not answer, or answers with an error that may pass. */
  BackendUnreachable: { retryable: true },
  /** A storage refuses: wrong credentials, no such bucket, no permission, no space. */
  BackendRefused: { retryable: false },
  /** A backend took its copy so slowly that the spool was full of what only it still needed. */
  LeftBehind: { retryable: false },
  /** An object that a manifest names is not on the backend. */
  ObjectMissing: { retryable: false },
  /** An object's bytes are not the bytes that were written. */
  ObjectDamaged: { retryable: false },
  /** A manifest is unreadable, unsigned, signed by an unknown key, or was changed after signing. */
  ManifestInvalid: { retryable: false },
  /** None of the keys at hand opens this, or signs, or checks this signature. */
  KeyMissing: { retryable: false },
  /** The catalog's database cannot be reached or written. */
  CatalogUnavailable: { retryable: true },
  /** Temporal's server cannot be reached. */
  TemporalUnreachable: { retryable: true },
  /** A step's worker was told to stop; the next worker goes on with the step. */
  WorkerStopped: { retryable: true },
  /** No worker serves the spool that holds a run's ciphertext: its host is gone. */
  HostGone: { retryable: false },
  /** Another run works on the source, and this one was not to wait. */
  SourceBusy: { retryable: false },
  /** Too few backends hold a proven copy for the backup to count. */
  TooFewCopies: { retryable: false },
  /** Refused because going on could destroy or hide something. */
  RefusedForSafety: { retryable: false },
  /** Somebody asked for it to stop. */
  Cancelled: { retryable: false },
  /** Nothing of the above: a fault in Holdfast itself, or one it does not know yet. */
  Unexpected: { retryable: true },
} as const satisfies Record<string, { retryable: boolean }>;

export type ErrorType = keyof typeof ERROR_TYPES;

export interface ErrorContext {
  /** What the reader should do next, as a full sentence. */
  readonly advice?: string;
  readonly cause?: unknown;
  /** Overrides the type's default where one case differs from its kind. */
  readonly retryable?: boolean;
  /** Milliseconds to leave whoever refused alone before the next try. */
  readonly retryAfter?: number | undefined;
}

/** The one error class. `message` says what happened and to what; `advice` says what to do next. Never holds a secret. */
export class HoldfastError extends Error {
  readonly type: ErrorType;
  readonly advice: string | undefined;
  readonly retryable: boolean;
  readonly retryAfter: number | undefined;

  constructor(type: ErrorType, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.name = 'HoldfastError';
    this.type = type;
    this.advice = context.advice;
    this.retryable = context.retryable ?? ERROR_TYPES[type].retryable;
    this.retryAfter = context.retryAfter;
  }
}

export function isHoldfastError(error: unknown, type?: ErrorType): error is HoldfastError {
  return error instanceof HoldfastError && (type === undefined || error.type === type);
}

/** The text of whatever was thrown, for use inside another message. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The code of a system error (`ENOSPC`, `ECONNREFUSED`, SQLSTATE `28P01`, ...), where the thrown thing has one. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
