import { formatBytes, formatCount } from '../../core/format.ts';
import type { HealProgress, HealResult } from '../../core/heal/run.ts';

/** The heal's story for the Web UI, in the Markdown that its current details show. */
export function describeHeal(progress: HealProgress, end?: HealResult): string {
  const next = progress.nextLook === undefined ? '' : `, looks again at ${progress.nextLook}`;
  const lines = [`### Heal of ${progress.source}: ${end?.state ?? progress.phase}${end ? '' : next}`, ''];
  if (progress.copies.length > 0) {
    lines.push('| backup | backend | state | written |', '| --- | --- | --- | --- |');
    for (const { backup, backend, state, bytes, problem } of progress.copies) {
      const told = problem === undefined ? state : `${state}: ${inCell(problem)}`;
      lines.push(`| ${backup} | ${backend} | ${told} | ${formatBytes(bytes)} |`);
    }
    lines.push('');
  } else if (end?.state === 'whole') {
    lines.push(`Every copy is whole: ${end.copiesLookedAt} of ${formatCount(end.backups, 'backup')}.`, '');
  }
  for (const { backend, problem } of progress.silent) lines.push(`- ${backend} does not answer: ${inCell(problem)}`);
  for (const { reason } of end?.lost ?? []) lines.push(`- ${inCell(reason)}`);
  for (const warning of end?.warnings ?? []) lines.push(`- ${inCell(warning)}`);
  return lines.join('\n');
}

function inCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
