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
}

/** Every schedule of a configuration. */
export function desiredSchedules({ maintenance }: Configuration): DesiredSchedule[] {
  const { timezone } = maintenance;
  const jobs = [
    { name: 'heal', cron: maintenance.heal, workflowType: 'scan', summary: 'Looks at every copy, and heals' },
    { name: 'sweep', cron: maintenance.sweep, workflowType: 'sweep', summary: 'Removes what dead runs left' },
  ];
  return jobs.filter(({ cron }) => cron !== 'off').map((job) => ({ ...job, timezone, input: {} }));
}
