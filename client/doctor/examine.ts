import { loadKeys, openBackends } from '../../core/config/open.ts';
import type { Configuration } from '../../core/config/schema.ts';
import { backendChecks } from './backendChecks.ts';
import { catalogCheck } from './catalogCheck.ts';
import { failure, failureOf, type Check, type Finding } from './finding.ts';
import { probeChecks } from './probeChecks.ts';
import { restoreChecks } from './restoreChecks.ts';
import { programsCheck, spoolCheck } from './hostChecks.ts';
import { keyChecks } from './keyChecks.ts';
import { secretsCheck } from './secretsCheck.ts';
import { sourceChecks } from './sourceChecks.ts';
import { temporalCheck } from './temporalCheck.ts';

/**
 * Looks at everything a configuration names, all at once, each for at most `timeout` milliseconds, so that one dead thing
 * delays nothing else. Findings come in a fixed order. Changes nothing but a probe object that it deletes again.
 */
export async function examine(configuration: Configuration, timeout: number): Promise<Finding[]> {
  const backends = openBackends(configuration);
  const keys = loadKeys(configuration);
  const checks: Check[] = [
    temporalCheck(configuration),
    catalogCheck(configuration),
    ...backendChecks(configuration, backends),
    ...probeChecks(configuration),
    ...sourceChecks(configuration),
    ...restoreChecks(configuration),
    programsCheck(configuration),
    ...keyChecks(configuration, keys),
    secretsCheck(configuration),
    spoolCheck(configuration),
  ];
  try {
    const findings = await Promise.all(checks.map((check) => runWithin(check, timeout)));
    return findings.flat();
  } finally {
    backends.close();
  }
}

async function runWithin(check: Check, timeout: number): Promise<Finding[]> {
  const stop = new AbortController();
  const { promise: late, resolve } = Promise.withResolvers<readonly Omit<Finding, 'subject'>[]>();
  const timer = setTimeout(() => {
    resolve([
      failure(`no answer within ${timeout / 1_000} s`, 'See whether it runs and can be reached from this host.'),
    ]);
    stop.abort(new Error('the check took too long'));
  }, timeout);
  // What comes after the deadline is not waited for, and no longer of interest.
  const answer = check.run(stop.signal).catch((error: unknown) => [failureOf(error)]);
  const findings = await Promise.race([answer, late]);
  clearTimeout(timer);
  return findings.map((finding) => ({ ...finding, subject: check.subject }));
}
