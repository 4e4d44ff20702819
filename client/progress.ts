import { setTimeout as sleep } from 'node:timers/promises';
import { createLogUpdate } from 'log-update';
import { formatBytes, formatDuration } from '../core/format.ts';
import type { OutputStream, Terminal } from './terminal.ts';

/** How far a run is, as a person wants to see it. */
export interface ProgressView {
  /** What it is doing now, e.g. `dumping`. */
  readonly phase: string;
  readonly lines: readonly ProgressLine[];
  /** Milliseconds, where they can be guessed. */
  readonly timeLeft?: number | undefined;
  /** What somebody has to read, said once and left standing. */
  readonly notice?: string | undefined;
}

/** One part or backend on its way. */
export interface ProgressLine {
  readonly label: string;
  /** Bytes so far, and of how many, where that is known. */
  readonly done: number;
  readonly total?: number | undefined;
  /** Bytes a second. */
  readonly rate?: number | undefined;
  /** One word, e.g. `waiting`, `running`, `done`, `failed`. */
  readonly state: string;
}

export interface ShowProgressOptions {
  readonly terminal: Terminal;
  /** May fail or know nothing yet: a run that has not begun, or just ended, does not answer. That shows as no news. */
  readonly poll: () => Promise<ProgressView | undefined>;
  /** Ends the display. */
  readonly signal: AbortSignal;
  /** Milliseconds between two polls. */
  readonly interval?: number;
}

/**
 * Shows how far a run is on standard error until `signal` aborts: a live display on a terminal, elsewhere one line per
 * change of phase, with --json only what somebody has to read. Resolves when the display is off the screen; never rejects.
 */
export async function showProgress({ terminal, poll, signal, interval = 300 }: ShowProgressOptions): Promise<void> {
  const display = displayOn(terminal);
  let said: string | undefined;
  try {
    while (!signal.aborted) {
      // One poll at a time: the next starts when this one has been shown.
      const view = await firstOf(
        poll().catch(() => undefined),
        signal,
      );
      if (view !== undefined && !signal.aborted) {
        if (view.notice !== undefined && view.notice !== said) {
          // What is drawn live would overwrite it.
          display.end();
          if (terminal.json) terminal.warn(view.notice);
          else terminal.note(view.notice);
          said = view.notice;
        }
        display.show(view);
      }
      await firstOf(sleep(interval, undefined, { ref: false }), signal);
    }
  } finally {
    display.end();
  }
}

interface Display {
  show(view: ProgressView): void;
  end(): void;
}

function displayOn(terminal: Terminal): Display {
  if (terminal.json) return { show: () => undefined, end: () => undefined };
  return terminal.interactive ? liveDisplay(terminal.stderr) : phaseLines(terminal);
}

function phaseLines(terminal: Terminal): Display {
  let last: string | undefined;
  return {
    show: ({ phase }) => {
      if (phase !== last) terminal.note(phase);
      last = phase;
    },
    end: () => undefined,
  };
}

function liveDisplay(stderr: OutputStream): Display {
  const update = createLogUpdate(stderr, { showCursor: true });
  return {
    show: (view) => update(renderView(view, columnsOf(stderr))),
    // What is left on the screen would be taken for news.
    end: () => update.clear(),
  };
}

/** The live display's text: the phase, then a line for each part and backend, none wider than `columns`. */
export function renderView({ phase, lines, timeLeft }: ProgressView, columns: number): string {
  const width = Math.max(0, ...lines.map(({ label }) => label.length));
  const head = timeLeft === undefined ? phase : `${phase}, about ${formatDuration(timeLeft)} left`;
  return [head, ...lines.map((line) => renderLine(line, width))].map((text) => text.slice(0, columns)).join('\n');
}

function renderLine({ label, done, total, rate, state }: ProgressLine, width: number): string {
  const share = total === undefined || total === 0 ? '' : `${Math.floor((Math.min(done, total) / total) * 100)} %`;
  const amount = total === undefined ? formatBytes(done) : `${formatBytes(done)} of ${formatBytes(total)}`;
  const speed = rate === undefined ? '' : `${formatBytes(rate)}/s`;
  return `  ${label.padEnd(width)}  ${state.padEnd(8)}  ${share.padStart(5)}  ${amount}  ${speed}`.trimEnd();
}

function columnsOf(stream: OutputStream): number {
  return stream.columns ?? 80;
}

/** What the promise gives, or undefined as soon as the signal aborts: a query without an answer must not hold the display. */
async function firstOf<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value | undefined> {
  const listening = new AbortController();
  try {
    return await Promise.race([promise, aborted(signal, listening.signal)]);
  } finally {
    listening.abort();
  }
}

function aborted(signal: AbortSignal, listening: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true, signal: listening });
  });
}
