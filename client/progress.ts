import { setTimeout as sleep } from 'node:timers/promises';
import type { Terminal } from './terminal.ts';

/** How far a run is, as a person wants to see it. */
export interface ProgressView {
  readonly phase: string;
  readonly lines: readonly ProgressLine[];
  /** Milliseconds. */
  readonly timeLeft?: number | undefined;
}

export interface ProgressLine {
  readonly label: string;
  readonly done: number;
  readonly total?: number | undefined;
  readonly state: string;
}

export interface ShowProgressOptions {
  readonly terminal: Terminal;
  readonly poll: () => Promise<ProgressView>;
  readonly signal: AbortSignal;
}

export async function showProgress({ terminal, poll, signal }: ShowProgressOptions): Promise<void> {
  let phase: string | undefined;
  while (!signal.aborted) {
    // A run that has not begun, or just ended, does not answer: the next poll or the result will.
    const view = await poll().catch(() => undefined);
    if (view !== undefined && view.phase !== phase && !signal.aborted) {
      phase = view.phase;
      terminal.note(phase);
    }
    await sleep(300, undefined, { signal }).catch(() => undefined);
  }
}
