import { openBackend } from '../../../core/storage/openBackend.ts';
import { s3Settings } from '../../support/s3Settings.ts';
import { createBucket } from '../../support/servers.ts';
import { conformsToContract } from './conformance.ts';

conformsToContract('s3', async (t) => {
  const bucket = await createBucket(t);
  return () => openBackend('store', s3Settings(bucket, { prefix: 'prod/copies' }));
});
