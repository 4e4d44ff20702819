import type { S3BackendSettings } from '../../core/storage/s3Profiles.ts';
import { testS3 } from './servers.ts';

/** Settings of a backend on the shared S3 server. */
export function s3Settings(bucket: string, changes: Partial<S3BackendSettings> = {}): S3BackendSettings {
  const { endpoint, region, accessKeyId, secretAccessKey } = testS3();
  return {
    type: 's3',
    provider: 'generic',
    bucket,
    prefix: '',
    endpoint,
    region,
    accessKeyId,
    secretAccessKey,
    concurrency: 2,
    requestTimeout: 20_000,
    ...changes,
  };
}
