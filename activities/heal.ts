import { noteHealing } from '../core/catalog/healing.ts';
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
  const healing = await healCopy({
    ...dependencies,
    step,
    segmentSize: dependencies.configuration.spool.segmentSize,
    openPart: dependencies.work.openPart,
    signal: context.signal,
    onProgress: (bytes) => {
      context.checkpoint({ bytes });
      dependencies.progress.verified(context, `${location.backup} ${backend}`, bytes);
    },
  });
  const { outcome, from, objects, bytes } = healing;
  dependencies.log.info(
    { backup: location.backup, backend, condition, outcome, from, objects, bytes },
    'a copy is whole',
  );
  return healing;
};

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
