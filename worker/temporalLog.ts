import { DefaultLogger, Runtime, type LogEntry } from '@temporalio/worker';
import type { Logger } from 'pino';

/** The poller of the spool's queue has none, on purpose. */
const EXPECTED_WARNING = /^No workflows registered/;

/** Temporal's own log lines join ours. */
export function installLogger(log: Logger): void {
  const write = ({ level, message, meta }: LogEntry) => {
    const { taskToken: _taskToken, error, ...context } = meta ?? {};
    if (EXPECTED_WARNING.test(message)) return;
    const method = ({ TRACE: 'trace', DEBUG: 'debug', INFO: 'debug', WARN: 'warn', ERROR: 'error' } as const)[level];
    log[method]({ ...context, ...(error !== undefined && { error: loggedError(error) }) }, message);
  };
  Runtime.install({ logger: new DefaultLogger('INFO', write) });
}

/** Failures are wrapped a few times: the workflow's around the step's around the program's. */
const DEEPEST_CAUSE = 5;

export interface LoggedError {
  /** One of `ERROR_TYPES`, or the class of what was thrown. */
  readonly type: string;
  readonly message: string;
  readonly cause?: LoggedError;
  /** Of what is none of ours. */
  readonly stack?: string;
}

/**
 * An error as a line of the log holds it: an Error's message is no property that JSON would show. Details stay out, for
 * they are whole results.
 */
export function loggedError(error: unknown, depth = 0): LoggedError | string {
  if (typeof error !== 'object' || error === null || !('message' in error)) return String(error);
  const { name, type, message, cause, stack } = error as Partial<Record<keyof Error | 'type', unknown>>;
  const own = typeof type === 'string';
  const inner =
    cause === undefined || cause === null || depth === DEEPEST_CAUSE ? undefined : loggedError(cause, depth + 1);
  return {
    type: own ? type : String(name),
    message: String(message),
    ...(inner !== undefined && { cause: typeof inner === 'string' ? { type: 'thrown', message: inner } : inner }),
    ...(!own && inner === undefined && typeof stack === 'string' && { stack }),
  };
}
