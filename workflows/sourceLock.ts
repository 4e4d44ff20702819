import { condition, defineSignal, setCurrentDetails, setHandler } from '@temporalio/workflow';

/** What a lock tells those who look at it. */
export interface SourceLock {
  readonly source: string;
  readonly holder: string;
  readonly purpose: string;
}

export const releaseSignal = defineSignal('release');

/**
 * A lock: a workflow with a fixed id, of which Temporal runs one at a time, as the child of the run that holds it. It
 * ends when its holder lets go, and is terminated when its holder ends in any other way.
 */
export async function sourceLock({ source, holder, purpose }: SourceLock): Promise<void> {
  let released = false;
  setHandler(releaseSignal, () => void (released = true), {
    description: `Frees ${source}. The holder sends it at its end.`,
  });
  setCurrentDetails(`${source} is held by the ${purpose} \`${holder}\`.`);
  await condition(() => released);
}
