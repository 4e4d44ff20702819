import type { BackupResult } from '../../core/backup/run.ts';
import { problemOf } from './problem.ts';
import { startHeal } from './startHeal.ts';

/**
 * Has the copies that a run could not make completed from those that it made. So too where these are too few and the run
 * has failed: what is proven is a true backup, only not yet safe enough. What was cancelled by hand is left as it is.
 */
export async function healAfter(result: BackupResult): Promise<BackupResult> {
  const { copies, problem, source, id } = result;
  const wanting = copies.some(({ state }) => state !== 'verified');
  const toHealFrom = copies.some(({ state }) => state === 'verified');
  if (!wanting || !toHealFrom || problem?.type === 'Cancelled') return result;
  try {
    return { ...result, heal: await startHeal({ source, backup: id }) };
  } catch (error) {
    const warning = `Its heal could not be started: ${problemOf(error).message}`;
    return { ...result, warnings: [...result.warnings, warning] };
  }
}
