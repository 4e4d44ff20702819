import { HoldfastError, messageOf, type ErrorType } from '../errors.ts';

/** An error in a form that passes between threads: structured clone would make a plain Error of one of ours. */
export interface PackedError {
  readonly message: string;
  /** Missing for what is not a HoldfastError. */
  readonly type?: ErrorType;
  readonly advice?: string;
  readonly retryable?: boolean;
  readonly stack?: string;
  readonly cause?: PackedError;
}

export function packError(error: unknown): PackedError {
  if (!(error instanceof Error)) return { message: messageOf(error) };
  return {
    message: error.message,
    ...(error instanceof HoldfastError && {
      type: error.type,
      retryable: error.retryable,
      ...(error.advice !== undefined && { advice: error.advice }),
    }),
    ...(error.stack !== undefined && { stack: error.stack }),
    ...(error.cause !== undefined && { cause: packError(error.cause) }),
  };
}

export function unpackError({ message, type, advice, retryable, stack, cause }: PackedError): Error {
  const options = cause === undefined ? {} : { cause: unpackError(cause) };
  const error =
    type === undefined
      ? new Error(message, options)
      : new HoldfastError(type, message, {
          ...options,
          ...(advice !== undefined && { advice }),
          ...(retryable !== undefined && { retryable }),
        });
  if (stack !== undefined) error.stack = stack;
  return error;
}
