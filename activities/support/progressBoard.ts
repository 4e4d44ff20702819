import type { Logger } from 'pino';
import type { PartProgress, ProgressReport, RestoringProgress } from '../../core/backup/run.ts';
import { messageOf } from '../../core/errors.ts';
import type { StepContext } from './step.ts';

/**
 * Gathers how far the steps of a run are on this worker and tells the workflow now and then. Each telling costs events
 * in the history, so they grow rarer as the run grows longer: about forty in a day.
 */
export interface ProgressBoard {
  part(context: StepContext, progress: PartProgress): void;
  uploaded(context: StepContext, backend: string, bytes: number): void;
  verified(context: StepContext, backend: string, bytes: number): void;
  restored(context: StepContext, progress: RestoringProgress): void;
  /** Forgets the run. */
  close(context: Pick<StepContext, 'runId'>): void;
}

interface RunProgress {
  readonly begun: number;
  due: number;
  readonly parts: Map<string, PartProgress>;
  readonly uploaded: Record<string, number>;
  readonly verified: Record<string, number>;
  restored?: RestoringProgress;
}

const FIRST_REPORT = 1_000;
const GROWTH = 0.3;

export function createProgressBoard(log: Logger): ProgressBoard {
  const runs = new Map<string, RunProgress>();

  const note = (context: StepContext, change: (run: RunProgress) => void) => {
    const now = Date.now();
    let run = runs.get(context.runId);
    if (run === undefined) {
      run = { begun: now, due: now + FIRST_REPORT, parts: new Map(), uploaded: {}, verified: {} };
      runs.set(context.runId, run);
    }
    change(run);
    if (now < run.due) return;
    run.due = now + Math.max(FIRST_REPORT, (now - run.begun) * GROWTH);
    const { uploaded, verified, restored } = run;
    const report: ProgressReport = {
      parts: [...run.parts.values()],
      uploaded,
      verified,
      ...(restored && { restored }),
    };
    // A report that is lost costs nothing: the next one says more.
    context.signalWorkflow('reportProgress', report).catch((error: unknown) => {
      log.debug({ workflowId: context.workflowId, error: messageOf(error) }, 'progress was not reported');
    });
  };

  return {
    part: (context, progress) => note(context, (run) => run.parts.set(progress.part, progress)),
    uploaded: (context, backend, bytes) => note(context, (run) => (run.uploaded[backend] = bytes)),
    verified: (context, backend, bytes) => note(context, (run) => (run.verified[backend] = bytes)),
    restored: (context, progress) => note(context, (run) => (run.restored = progress)),
    close: ({ runId }) => void runs.delete(runId),
  };
}
