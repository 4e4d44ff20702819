import { proxyActivities, setCurrentDetails } from '@temporalio/workflow';
import type { HealSteps } from '../activities/healSteps.ts';
import { SCAN_INPUT_EXAMPLE, scanInput, type ScanResult } from '../core/heal/scan.ts';
import { parseInput } from './support/input.ts';
import { startHeal } from './support/startHeal.ts';
import { HEARTBEAT_TIMEOUT, takenOver } from './support/steps.ts';

const { findSources } = proxyActivities<HealSteps>({
  ...takenOver,
  startToCloseTimeout: '1m',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
});

/**
 * Looks at the copies of every source: has each one's heal list them all, and read some back. The heals run on by
 * themselves, and each ends well or fails by its own name.
 */
export async function scan(input: unknown): Promise<ScanResult> {
  const request = parseInput(scanInput, input ?? {}, SCAN_INPUT_EXAMPLE);
  const found = await findSources();
  const sample = request.sample ?? found.sample;
  const heals: Record<string, string> = {};
  for (const source of request.sources ?? found.sources) {
    heals[source] = await startHeal({ source, ...(sample > 0 && { sample }) });
  }
  setCurrentDetails(
    [
      '### Scan',
      '',
      '| source | run |',
      '| --- | --- |',
      ...Object.entries(heals).map(([s, id]) => `| ${s} | ${id} |`),
    ].join('\n'),
  );
  return { heals };
}
