import type { LocalBackendConfiguration } from '../config/schema.ts';
import type { Backend } from './backend.ts';
import { openLocalBackend } from './local.ts';
import { openS3Backend } from './s3.ts';
import type { LearnedProfile } from './probe/report.ts';
import type { S3BackendSettings } from './s3Profiles.ts';

/** A backend's configuration with every secret resolved to its value. */
export type BackendSettings = LocalBackendConfiguration | S3BackendSettings;

/**
 * The backend called `name`. Nothing is connected or touched before its first use; throws InvalidConfiguration for
 * settings that cannot work. `learned` is what a probe found out about this storage.
 */
export function openBackend(name: string, settings: BackendSettings, learned?: LearnedProfile): Backend {
  return settings.type === 'local' ? openLocalBackend(name, settings) : openS3Backend(name, settings, learned);
}
