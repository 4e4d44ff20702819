import { z } from 'zod';
import { byteSize } from '../config/units.ts';

/** What an operator says to a running backup about how fast a backend may be sent to. */
export const bandwidthChange = z.strictObject({
  backend: z.string().min(1),
  /** Bytes, or a size such as `5MiB`; null for no limit. */
  bytesPerSecond: byteSize
    .refine((bytes) => bytes > 0, 'expected at least 1 byte a second; to stop the uploads, cancel the run')
    .nullable(),
});

export type BandwidthChange = z.input<typeof bandwidthChange>;

export const BANDWIDTH_CHANGE_EXAMPLE = '{"backend": "r2", "bytesPerSecond": "5MiB"}';

/** By backend, in bytes a second; null for no limit, missing where the configuration's holds. */
export const bandwidthLimits = z.record(z.string(), z.int().nullable());

export type BandwidthLimits = z.infer<typeof bandwidthLimits>;

export const BANDWIDTH_QUERY = 'bandwidth';
