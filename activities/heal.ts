import { noteHealing } from '../core/catalog/healing.ts';
import { healCopy } from '../core/heal/healCopy.ts';
import type { HealCopyStep, HealNote, SurveyStep } from '../core/heal/run.ts';
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

export const findSourcesStep =
  ({ configuration }: Dependencies) =>
  async (): Promise<ScanAssignment> => ({
    sources: Object.keys(configuration.sources),
    sample: configuration.maintenance.sample,
  });
