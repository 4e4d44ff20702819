import { HoldfastError } from '../errors.ts';
import type { Finding } from '../postgres/finding.ts';

/** Throws one error that names every failure among the findings; gives the warnings as text when there is none. */
export function acceptFindings(findings: readonly Finding[]): string[] {
  const failures = findings.filter(({ severity }) => severity === 'failure');
  const [first] = failures;
  if (first === undefined) return findings.map(({ message, advice }) => `${message}. ${advice}`);
  throw new HoldfastError(first.type, failures.map(({ message }) => message).join('\n'), {
    advice: [...new Set(failures.map(({ advice }) => advice))].join('\n'),
    retryable: false,
  });
}
