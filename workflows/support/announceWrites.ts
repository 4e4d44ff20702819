import { upsertMemo } from '@temporalio/workflow';
import { WRITES_MEMO, type Writes } from '../../core/sweep/writers.ts';

/**
 * Notes in the run's memo what it may write, so that a sweep leaves that alone. Called before the first step, by every
 * workflow of `WRITING_WORKFLOWS`.
 */
export function announceWrites(writes: Writes): void {
  upsertMemo({ [WRITES_MEMO]: writes });
}
