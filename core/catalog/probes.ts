import { messageOf } from '../errors.ts';
import type { BackendSettings } from '../storage/openBackend.ts';
import { placeOf } from '../storage/probe/probe.ts';
import { probeReport, type LearnedProfile, type ProbeReport } from '../storage/probe/report.ts';
import { query, type Catalog } from './catalog.ts';

/** Keeps what a probe found, unless a newer one is kept already. Throws CatalogUnavailable. */
export async function recordProbe(catalog: Catalog, report: ProbeReport): Promise<void> {
  await query(
    catalog,
    `INSERT INTO holdfast.backend_probe (backend, place, at, state, report) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (backend) DO UPDATE
        SET place = excluded.place, at = excluded.at, state = excluded.state, report = excluded.report
      WHERE backend_probe.at <= excluded.at`,
    [report.backend, report.place, report.at, report.state, JSON.stringify(report)],
  );
}

/** The newest probe of each backend, by its name. One that another release wrote differently is left out. */
export async function newestProbes(catalog: Catalog): Promise<Map<string, ProbeReport>> {
  const rows = await query<{ report: unknown }>(catalog, 'SELECT report FROM holdfast.backend_probe');
  const reports = rows.flatMap(({ report }) => probeReport.safeParse(report).data ?? []);
  return new Map(reports.map((report) => [report.backend, report]));
}

/** Gives what the last probe of this very storage found, where there was one. Never rejects. */
export type LookUpLearned = (name: string, settings: BackendSettings) => Promise<LearnedProfile | undefined>;

/** A backup does not wait longer than this for what only makes it a little better. Milliseconds. */
const PATIENCE = 3_000;

/** Looks probes up in a catalog that may be away; `onSilence` hears of that, and the profile's values hold. */
export function learnedFrom(catalog: () => Promise<Catalog>, onSilence: (reason: string) => void): LookUpLearned {
  return async (name, settings) => {
    if (settings.type === 'local') return undefined;
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error('the catalog does not answer')), PATIENCE);
    try {
      const probe = (await Promise.race([catalog().then(newestProbes), late.promise])).get(name);
      return probe?.place === placeOf(settings) ? probe.learned : undefined;
    } catch (error) {
      onSilence(messageOf(error));
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  };
}
