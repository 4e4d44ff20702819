import { styleText } from 'node:util';
import Table from 'cli-table3';
import { HoldfastError, messageOf, type ErrorType } from '../core/errors.ts';
import { explained } from '../core/systemErrors.ts';

/*
 * The rules of all output. Every command keeps them by going through this file.
 *
 * - Standard output carries the answer and nothing else: a text or table for people, or, with --json, exactly one JSON
 *   document. That holds for errors too: { "error": { "type", "message", "advice" } }.
 * - Standard error carries everything that is not the answer: live progress, notes, warnings, errors. Progress is drawn
 *   only where standard error is a terminal and --json was not given; elsewhere a line is written when a phase changes.
 * - Colour only where the stream is a terminal and NO_COLOR is unset. It never carries a meaning that the words lack.
 * - An error says what happened, to what, and what to do next: `holdfast: error: ...`, then `holdfast: hint: ...`.
 *   A stack trace only with --verbose. No secret in any of it.
 * - Keys of JSON documents are camelCase and stay. Sizes are bytes, durations milliseconds, times ISO 8601 in UTC; only
 *   tables for people round.
 * - The exit code says how it ended, see EXIT_CODES. An answer that cannot be written is a failure, told on standard error,
 *   with --json too; a reader that has seen enough is none.
 */

export const EXIT_CODES = {
  done: 0,
  failed: 1,
  /** Bad usage or configuration: nothing was started. */
  usage: 2,
  /** Done, but not as fully as asked: too few copies, or a warning that needs somebody. */
  degraded: 3,
  /** Refused because going on could destroy something. */
  refused: 4,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT_CODES)[keyof typeof EXIT_CODES];
export type Style = Parameters<typeof styleText>[0];

/** The streams and settings a terminal is made of; tests hand in their own. */
export interface TerminalParts {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly json: boolean;
  readonly verbose: boolean;
  /** Aborted by the first Ctrl-C, SIGTERM or SIGHUP. */
  readonly interrupted: AbortSignal;
}

export type OutputStream = NodeJS.WritableStream & { isTTY?: boolean; columns?: number };

export interface Terminal extends Omit<TerminalParts, 'interrupted'> {
  /** Whether live progress may be drawn on standard error. */
  readonly interactive: boolean;
  /**
   * Aborted by the first Ctrl-C, SIGTERM or SIGHUP. A command that asks for it promises to end soon after; for all others an
   * interruption ends the process at once.
   */
  interruption(): AbortSignal;
  readonly awaitsInterruption: boolean;
  /** Prints the command's answer: `document` with --json, else the text that `describe` makes. Once a command. */
  answer(document: unknown, describe: () => string): void;
  /** A remark on standard error. Not with --json. */
  note(text: string): void;
  warn(text: string): void;
  /** Prints an error and gives the exit code that belongs to it. */
  fail(error: unknown): ExitCode;
  /** The same for a run that failed but has more to tell: its document goes beside the error, its text before it. */
  failWith(error: unknown, document: object, describe: () => string): ExitCode;
  /** Colours text for standard output, where that is a terminal. */
  paint(style: Style, text: string): string;
  /** A table for people: a head and rows of equal length. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): string;
  /**
   * Makes a commander action of a handler: its result, or what it throws, becomes the exit code of the process.
   */
  action<Arguments extends unknown[]>(
    handler: (...args: Arguments) => Promise<ExitCode | void> | ExitCode | void,
  ): (...args: Arguments) => Promise<void>;
  exitCode: ExitCode;
  /** What standard output failed with. Told by `endWithout`, and not by `fail`, whoever comes upon it. */
  lostOutput: Error | undefined;
  /** Says on standard error that the answer is lost. Gives the exit code of a command that would have ended with another. */
  endWithout(lost: HoldfastError, exitCode: ExitCode): ExitCode;
}

export function createTerminal(parts: TerminalParts): Terminal {
  const { stdout, stderr, json, verbose } = parts;
  const sayOnStderr = (label: string, text: string) => writeLine(stderr, `holdfast: ${label}${text}`);
  const sayError = ({ message, advice }: ErrorReport) => {
    sayOnStderr(paintOn(stderr, 'red', 'error: '), message);
    if (advice !== undefined) sayOnStderr('hint: ', advice);
  };

  const terminal: Terminal = {
    stdout,
    stderr,
    json,
    verbose,
    interactive: canDraw(stderr) && !json,
    awaitsInterruption: false,
    exitCode: EXIT_CODES.done,
    lostOutput: undefined,
    interruption() {
      Object.assign(terminal, { awaitsInterruption: true });
      return parts.interrupted;
    },
    answer(document, describe) {
      writeLine(stdout, json ? JSON.stringify(document, undefined, 2) : describe());
    },
    note(text) {
      if (!json) sayOnStderr('', text);
    },
    warn(text) {
      sayOnStderr(paintOn(stderr, 'yellow', 'warning: '), text);
    },
    fail(error) {
      if (error === terminal.lostOutput) return EXIT_CODES.failed;
      const report = describeError(error);
      if (json) writeLine(stdout, JSON.stringify({ error: report }, undefined, 2));
      else sayError(report);
      if (verbose) writeLine(stderr, stackOf(error));
      return exitCodeOf(error);
    },
    failWith(error, document, describe) {
      if (json) {
        writeLine(stdout, JSON.stringify({ error: describeError(error), ...document }, undefined, 2));
        return exitCodeOf(error);
      }
      writeLine(stdout, describe());
      return terminal.fail(error);
    },
    endWithout(lost, exitCode) {
      sayError(describeError(lost));
      if (verbose) writeLine(stderr, stackOf(lost));
      return exitCode === EXIT_CODES.done || exitCode === EXIT_CODES.degraded ? EXIT_CODES.failed : exitCode;
    },
    paint: (style, text) => paintOn(stdout, style, text),
    table(head, rows) {
      return renderTable(
        head.map((title) => paintOn(stdout, 'bold', title)),
        rows,
      );
    },
    action(handler) {
      return async (...args) => {
        try {
          terminal.exitCode = (await handler(...args)) ?? EXIT_CODES.done;
        } catch (error) {
          terminal.exitCode = terminal.fail(error);
        }
      };
    },
  };
  return terminal;
}

export interface ErrorReport {
  readonly type: ErrorType;
  readonly message: string;
  readonly advice?: string;
}

/** What an error looks like in `--json` output and, line by line, for people. */
export function describeError(thrown: unknown): ErrorReport {
  const error = explained(thrown);
  if (error instanceof HoldfastError) {
    const report = { type: error.type, message: error.message };
    return error.advice === undefined ? report : { ...report, advice: error.advice };
  }
  return {
    type: 'Unexpected',
    message: messageOf(error),
    advice: 'This is a fault in Holdfast. Run the command again with --verbose and report what it prints.',
  };
}

const EXIT_CODE_OF_TYPE: Partial<Record<ErrorType, ExitCode>> = {
  InvalidInput: EXIT_CODES.usage,
  InvalidConfiguration: EXIT_CODES.usage,
  RefusedForSafety: EXIT_CODES.refused,
  SourceBusy: EXIT_CODES.refused,
  Cancelled: EXIT_CODES.interrupted,
};

export function exitCodeOf(error: unknown): ExitCode {
  return (error instanceof HoldfastError ? EXIT_CODE_OF_TYPE[error.type] : undefined) ?? EXIT_CODES.failed;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const stack = error.stack ?? error.message;
  return error.cause === undefined ? stack : `${stack}\ncaused by: ${stackOf(error.cause)}`;
}

/** A terminal of no size, as some consoles without a screen report it, shows nothing that is drawn. */
function canDraw(stream: OutputStream): boolean {
  return stream.isTTY === true && (stream.columns ?? 0) > 0 && process.env['TERM'] !== 'dumb';
}

function writeLine(stream: OutputStream, text: string): void {
  stream.write(`${printable(text.endsWith('\n') ? text.slice(0, -1) : text)}\n`);
}

/** styleText itself looks at the stream and at NO_COLOR. */
function paintOn(stream: OutputStream, style: Style, text: string): string {
  return styleText(style, text, { stream, validateStream: true });
}

/** Columns by spaces alone: lines can be cut, sorted and grepped. */
function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const none = { top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '' };
  const table = new Table({
    head: [...head],
    chars: {
      ...none,
      'bottom-left': '',
      'bottom-right': '',
      left: '',
      'left-mid': '',
      mid: '',
      'mid-mid': '',
      right: '',
      'right-mid': '',
      middle: '  ',
    },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split('\n')
    .map((text) => text.trimEnd())
    .join('\n');
}

/**
 * Names and messages come from databases, storages and servers: of control characters only line feeds, tabs and our own
 * colours reach the terminal as they are.
 */
function printable(text: string): string {
  // oxlint-disable-next-line eslint/no-control-regex
  return text.replaceAll(/\u001b\[\d+(?:;\d+)*m|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (found) =>
    found.length > 1 ? found : `\\x${found.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
