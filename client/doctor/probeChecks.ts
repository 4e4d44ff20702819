import { withCatalog } from '../../core/catalog/catalog.ts';
import { newestProbes } from '../../core/catalog/probes.ts';
import { backendSettings, catalogUrl } from '../../core/config/open.ts';
import type { Configuration } from '../../core/config/schema.ts';
import { isHoldfastError } from '../../core/errors.ts';
import { formatAge } from '../../core/format.ts';
import { placeOf } from '../../core/storage/probe/probe.ts';
import type { ProbeReport } from '../../core/storage/probe/report.ts';
import { ok, warning, type Check, type Finding } from './finding.ts';

/** When each backend was last probed, and whether it was found to differ from what its profile says. */
export function probeChecks(configuration: Configuration): Check[] {
  let asked: Promise<Map<string, ProbeReport>> | undefined;
  const probes = () => (asked ??= catalogUrl(configuration).then((url) => withCatalog(url, newestProbes)));
  return Object.keys(configuration.backends).map((name) => ({
    subject: `backend ${name}, probe`,
    run: async () => {
      try {
        const probe = (await probes()).get(name);
        return [judged(name, probe?.place === placeOf(await backendSettings(configuration, name)) ? probe : undefined)];
      } catch (error) {
        // The check of the catalog itself, or of the backend, says what is wrong with it.
        if (isHoldfastError(error)) return [];
        throw error;
      }
    },
  }));
}

function judged(name: string, probe: ProbeReport | undefined): Omit<Finding, 'subject'> {
  const command = `\`holdfast storage probe ${name} --save\``;
  if (probe === undefined) return ok(`never probed; ${command} finds out what the storage can do`);
  const when = `probed ${formatAge(probe.at, new Date())} ago`;
  if (probe.state === 'equal') return ok(`${when}: as its profile says`);
  const differing = probe.findings
    .filter(({ state }) => state !== 'equal')
    .map(({ what, found }) => `${what}: ${found}`);
  const left = probe.leftBehind.length > 0 ? [`${probe.leftBehind.length} things of the probe stayed behind`] : [];
  return warning(
    `${when}: not as its profile says: ${[...differing, ...left].join('; ')}`,
    `Look at it with ${command}.`,
  );
}
