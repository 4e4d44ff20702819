import type { Configuration } from '../../core/config/schema.ts';

/** A schedule as the configuration wants it. Plain data: what it says is compared with what Temporal has. */
export interface DesiredSchedule {
  /** Unique among those of one task queue. */
  readonly name: string;
  /** Five fields. */
  readonly cron: string;
  readonly timezone: string;
  readonly workflowType: string;
  readonly input: unknown;
  /** For the Web UI. */
  readonly summary: string;
  /** Where the time stands in the configuration, for messages. */
  readonly setting: string;
}

/** Every schedule of a configuration. */
export function desiredSchedules({ maintenance, plans }: Configuration): DesiredSchedule[] {
  const { timezone } = maintenance;
  const job = (setting: 'heal' | 'sweep' | 'drill', rest: Omit<DesiredSchedule, 'cron' | 'timezone' | 'setting'>) => ({
    ...rest,
    cron: maintenance[setting],
    timezone,
    setting: `maintenance.${setting}`,
  });
  // What nobody backs up has nothing to be tried.
  const sources = [...new Set(Object.values(plans).map(({ source }) => source))].toSorted();
  const jobs = [
    job('heal', { name: 'heal', workflowType: 'scan', input: {}, summary: 'Looks at every copy, and heals' }),
    job('sweep', { name: 'sweep', workflowType: 'sweep', input: {}, summary: 'Removes what dead runs left' }),
    ...sources.map((source) =>
      job('drill', {
        name: `drill-${source}`,
        workflowType: 'drill',
        input: { source },
        summary: `Tries a backup of ${source} out`,
      }),
    ),
  ];
  return jobs.filter(({ cron }) => cron !== 'off');
}
