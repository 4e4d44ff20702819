import { noteHealing } from '../core/catalog/healing.ts';
import { noteDamage } from '../core/catalog/noteDamage.ts';
import { isHoldfastError } from '../core/errors.ts';
import { healCopy } from '../core/heal/healCopy.ts';
import { healWorkflowId, type HealCopyStep, type HealInput, type HealNote, type SurveyStep } from '../core/heal/run.ts';
import type { ScanAssignment } from '../core/heal/scan.ts';
import { surveySource } from '../core/heal/survey.ts';
import type { Dependencies } from './dependencies.ts';
import type { StepContext } from './support/step.ts';

export const findWoundsStep = (dependencies: Dependencies) => (context: StepContext, step: SurveyStep) =>
  surveySource({
    ...dependencies,
    step,
    runningSince: () => context.runningSince('backup'),
    signal: context.signal,
  });

export const healCopyStep = (dependencies: Dependencies) => async (context: StepContext, step: HealCopyStep) => {
  const { location, backend, condition } = step;
  const damaged = new Map<string, string>();
  const options = {
    ...dependencies,
    step,
    segmentSize: dependencies.configuration.spool.segmentSize,
    openPart: dependencies.work.openPart,
    signal: context.signal,
    onProgress: (bytes: number) => {
      context.checkpoint({ bytes });
      dependencies.progress.verified(context, `${location.backup} ${backend}`, bytes);
    },
    onDamaged: (name: string, problem: string) => void damaged.set(name, problem),
  };
  try {
    const healing = await healCopy(options);
    const { outcome, from, objects, bytes } = healing;
    dependencies.log.info(
      { backup: location.backup, backend, condition, outcome, from, objects, bytes },
      'a copy is whole',
    );
    return healing;
  } finally {
    await tellOfDamage(dependencies, context, location.backup, damaged);
  }
};

/** What was found wrong on the way counts like any other look at a copy; the run then looks again, and heals it too. */
async function tellOfDamage(
  { catalog, log }: Dependencies,
  context: StepContext,
  backup: string,
  damaged: ReadonlyMap<string, string>,
): Promise<void> {
  if (damaged.size === 0) return;
  log.warn({ backup, damaged: Object.fromEntries(damaged) }, 'copies that were to help are damaged');
  try {
    const found = await noteDamage(await catalog(), backup, damaged, new Date());
    if (found.length > 0) await context.signalWorkflow('wake', undefined);
  } catch (error) {
    if (!isHoldfastError(error, 'CatalogUnavailable')) throw error;
    log.warn({ backup, reason: error.message }, 'the catalog was not told of damaged copies');
  }
}

export const noteHealingStep =
  (dependencies: Dependencies) => async (context: StepContext, notes: readonly HealNote[]) => {
    dependencies.progress.close(context);
    return noteHealing(await dependencies.catalog(), notes);
  };

/** Atomic: neither are there ever two heals of a source, nor one that ended while it was told. */
export const startHealStep =
  ({ configuration }: Dependencies) =>
  async (context: StepContext, input: HealInput): Promise<string> => {
    const { taskQueue } = configuration.temporal;
    const workflowId = healWorkflowId(taskQueue, input.source);
    const summary = `Heal of ${input.source}`;
    await context.startOrTell({ workflowType: 'heal', workflowId, taskQueue, input, signal: 'wake', summary });
    return workflowId;
  };

export const findSourcesStep =
  ({ configuration }: Dependencies) =>
  async (): Promise<ScanAssignment> => ({
    sources: Object.keys(configuration.sources),
    sample: configuration.maintenance.sample,
  });
