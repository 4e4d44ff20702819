import { unknownName } from '../config/open.ts';
import type { Configuration, PlanConfiguration, SourceConfiguration } from '../config/schema.ts';
import type { BackupKind, Tier } from '../config/words.ts';
import { HoldfastError } from '../errors.ts';
import type { BackupInput } from './run.ts';
import { includesDatabase, treesOf } from './scope.ts';

/** What an input means, looked up in the configuration. */
export interface BackupJob {
  readonly source: SourceConfiguration;
  readonly planName: string;
  readonly plan: PlanConfiguration;
  readonly kind: BackupKind;
  readonly tier: Tier;
  readonly backends: readonly string[];
  readonly requiredCopies: number;
}

/** Throws `InvalidInput`, naming what there is, for anything the configuration does not know or that is ambiguous. */
export function chooseJob(configuration: Configuration, input: BackupInput): BackupJob {
  const source = configuration.sources[input.source];
  if (source === undefined) throw unknownName('source', input.source, Object.keys(configuration.sources));
  const [planName, plan] = choosePlan(configuration, input);
  const kind = input.kind ?? plan.kind;
  if (!(kind === 'full' || (includesDatabase(kind) && source.database) || treesOf(source, kind).length > 0)) {
    throw new HoldfastError('InvalidInput', `The source ${input.source} has nothing of the kind ${kind}.`, {
      advice: `It has: ${[...(source.database ? ['database'] : []), ...Object.keys(source.files)].join(', ')}.`,
    });
  }
  const backends = [...new Set(input.backends ?? plan.backends)];
  for (const backend of backends) {
    if (configuration.backends[backend] === undefined) {
      throw unknownName('backend', backend, Object.keys(configuration.backends));
    }
  }
  // Whoever names fewer backends by hand asks for all of them.
  const requiredCopies = Math.min(plan.copies.required, backends.length);
  return { source, planName, plan, kind, tier: input.tier ?? 'manual', backends, requiredCopies };
}

function choosePlan({ plans }: Configuration, input: BackupInput): [string, PlanConfiguration] {
  const ofSource = Object.entries(plans).filter(([, plan]) => plan.source === input.source);
  if (input.plan !== undefined) {
    const plan = plans[input.plan];
    if (plan === undefined) throw unknownName('plan', input.plan, Object.keys(plans));
    if (plan.source !== input.source) {
      throw new HoldfastError('InvalidInput', `The plan ${input.plan} backs up ${plan.source}, not ${input.source}.`, {
        advice: `Plans of ${input.source}: ${names(ofSource)}.`,
      });
    }
    return [input.plan, plan];
  }
  const fitting = input.kind === undefined ? ofSource : ofSource.filter(([, plan]) => plan.kind === input.kind);
  const [only, second] = fitting.length > 0 ? fitting : ofSource;
  if (only !== undefined && second === undefined) return only;
  throw new HoldfastError(
    'InvalidInput',
    `${input.source} has ${ofSource.length === 0 ? 'no plan' : 'several plans'}.`,
    {
      advice:
        ofSource.length === 0
          ? 'Add one under plans in holdfast.yaml.'
          : `Say which: --plan with one of ${names(ofSource)}.`,
    },
  );
}

function names(plans: readonly [string, PlanConfiguration][]): string {
  return plans.map(([name]) => name).join(', ') || 'none';
}
