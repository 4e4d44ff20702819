import { HoldfastError } from '../core/errors.ts';
import { formatBytes, formatCount, formatDuration } from '../core/format.ts';
import type { HealedCopy, HealProgress, HealResult } from '../core/heal/run.ts';
import type { ProgressView } from './progress.ts';
import { EXIT_CODES, type ExitCode, type Style, type Terminal } from './terminal.ts';

export function exitCodeOfHeal({ state }: HealResult): ExitCode {
  return {
    whole: EXIT_CODES.done,
    healed: EXIT_CODES.done,
    incomplete: EXIT_CODES.degraded,
    refused: EXIT_CODES.refused,
  }[state];
}

/** What is lost is an error, however much else was healed. */
export function complaintAbout({ state, lost, copies }: HealResult): HoldfastError | undefined {
  if (state !== 'refused') return undefined;
  const refused = copies.filter(({ outcome }) => outcome === 'refused').map(({ problem }) => problem?.message ?? '');
  const reasons = new Set([...lost.map(({ reason }) => `${reason}.`), ...refused]);
  return new HoldfastError('RefusedForSafety', [...reasons].join('\n'), {
    advice: 'Nothing of it was changed. Make a new backup, and find out who writes to these storages.',
  });
}

/** What was missing or damaged, and what became of it. */
export function describeHealResult(result: HealResult, terminal: Terminal): string {
  const { source, state, backups, copiesLookedAt, copies, waiting } = result;
  const rest = waiting ? '; the run goes on by itself' : '';
  const head = `Heal of ${source}: ${terminal.paint(COLOURS[state], state)}, ${formatCount(backups, 'backup')} with ${formatCount(copiesLookedAt, 'copy', 'copies')} looked at${rest}`;
  const table = terminal.table(
    ['BACKUP', 'COPY ON', 'WAS', 'NOW', 'FROM', 'WRITTEN', 'PROVEN', 'TIME'],
    copies.map(rowOf),
  );
  const remarks = [
    ...copies.flatMap(({ backup, reason }) => (reason === '' ? [] : [`${backup}: ${reason}`])),
    ...copies.flatMap(({ backup, backend, outcome, problem }) =>
      problem ? [`${backup} on ${backend} is ${outcome}: ${problem.message}`] : [],
    ),
    ...result.silent.map(({ backend, problem }) => `${backend} does not answer: ${problem}`),
    ...(result.unlisted > 0 ? [`${result.unlisted} more copies are not listed.`] : []),
    ...result.warnings.map((warning) => `Note: ${warning}`),
  ];
  return [head, ...(copies.length > 0 ? ['', table] : []), ...(remarks.length > 0 ? ['', ...remarks] : [])].join('\n');
}

export function viewOfHeal({ phase, copies, nextLook }: HealProgress): ProgressView {
  return {
    phase: nextLook === undefined ? phase : `${phase} until ${nextLook}`,
    lines: copies.map(({ backup, backend, state, bytes, problem }) => ({
      label: `${backup} on ${backend}`,
      done: bytes,
      state: problem === undefined ? state : `${state}: ${problem}`,
    })),
  };
}

export function isHealResult(detail: unknown): detail is HealResult {
  return typeof detail === 'object' && detail !== null && 'copiesLookedAt' in detail;
}

const COLOURS: Readonly<Record<HealResult['state'], Style>> = {
  whole: 'green',
  healed: 'green',
  incomplete: 'yellow',
  refused: 'red',
};

function rowOf({ backup, backend, condition, outcome, from, bytes, depth, duration }: HealedCopy): string[] {
  return [
    backup,
    backend,
    condition,
    outcome,
    from?.join(', ') || '-',
    formatBytes(bytes),
    depth ?? '-',
    formatDuration(duration),
  ];
}
