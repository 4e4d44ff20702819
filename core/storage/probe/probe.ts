import type { BackendSettings } from '../openBackend.ts';
import { probeLocal } from './probeLocal.ts';
import { probeS3, s3PlaceOf } from './probeS3.ts';
import type { ProbeReport } from './report.ts';

/** Finds out by trying what a storage can do, and compares it with what its profile says. Leaves nothing behind. */
export function probeBackend(name: string, settings: BackendSettings, signal: AbortSignal): Promise<ProbeReport> {
  return settings.type === 'local' ? probeLocal(name, settings, signal) : probeS3(name, settings, signal);
}

/** Which storage the settings mean, without any secret. */
export function placeOf(settings: BackendSettings): string {
  return settings.type === 'local' ? settings.path : s3PlaceOf(settings);
}
