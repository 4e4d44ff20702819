import type { S3BackendConfiguration } from '../config/schema.ts';
import { HoldfastError } from '../errors.ts';
import type { LearnedProfile } from './probe/report.ts';

/** Values of the secrets that say who one is. */
export interface S3Credentials {
  readonly accessKeyId?: string | undefined;
  readonly secretAccessKey?: string | undefined;
  readonly sessionToken?: string | undefined;
}

/** An S3 backend's configuration with its secrets' values in place of their references. */
export interface S3BackendSettings extends Omit<S3BackendConfiguration, keyof S3Credentials>, S3Credentials {
  /** Whose credentials, by the files that all AWS tools share (`~/.aws`). Unset: the SDK's default chain, where no keys are given. */
  readonly credentialProfile?: string | undefined;
  /** Reads the secrets again, where they can have changed since. */
  readonly renewCredentials?: (() => Promise<S3Credentials>) | undefined;
  /** Where access key id and secret are set, for hints. Unset: in the configuration of the backend. */
  readonly credentialNames?: string | undefined;
}

/** How one service differs from the others, on the wire. */
export interface S3Profile {
  readonly region: string;
  /** Undefined: the SDK's own address for the region. */
  readonly endpoint: string | undefined;
  readonly pathStyle: boolean;
  /** Integrity header sent with each body, beside the signed `x-amz-content-sha256`. */
  readonly checksum: 'sha256' | 'md5' | 'none';
  /**
   * Whether `If-None-Match: *` on a put can be relied on. `maybe`: some servers ignore it and some refuse it, so a HEAD
   * goes first.
   */
  readonly conditionalPut: 'yes' | 'no' | 'maybe';
}

/**
 * The rules of a provider, in their place what a probe of this very storage found, and over both what the configuration
 * says. Throws InvalidConfiguration for what is missing.
 *
 * - aws: SHA-256 checksums; conditional writes since 2024 ("Add preconditions to S3 operations", S3 User Guide).
 * - r2: region `auto`, endpoint by account; SHA-256 as composite checksum and If-None-Match on PutObject stand in its
 *   "S3 API compatibility" page, which also asks for equal part sizes.
 * - b2: endpoint by region; answers 400 to `x-amz-checksum-*`, takes Content-MD5; no conditional write.
 * - generic: the headers of aws, but trusted less.
 */
export function s3ProfileOf(backend: string, settings: S3BackendSettings, learned: LearnedProfile = {}): S3Profile {
  return {
    ...PROFILES[settings.provider](backend, settings),
    ...(learned.checksum !== undefined && { checksum: learned.checksum }),
    ...(learned.conditionalPut !== undefined && { conditionalPut: learned.conditionalPut }),
    ...(settings.pathStyle !== undefined && { pathStyle: settings.pathStyle }),
    ...(settings.checksum !== undefined && { checksum: settings.checksum }),
    ...(settings.conditionalPut !== undefined && { conditionalPut: settings.conditionalPut }),
  };
}

type Provider = S3BackendSettings['provider'];

const PROFILES: Readonly<Record<Provider, (backend: string, settings: S3BackendSettings) => S3Profile>> = {
  aws: (backend, { region, endpoint }) => ({
    region: region ?? missing(backend, 'region', 'the region of the bucket, e.g. eu-central-1'),
    endpoint,
    pathStyle: false,
    checksum: 'sha256',
    conditionalPut: 'yes',
  }),
  r2: (backend, { region, endpoint, accountId }) => ({
    region: region ?? 'auto',
    endpoint:
      endpoint ??
      `https://${accountId ?? missing(backend, 'accountId', 'the Cloudflare account id')}.r2.cloudflarestorage.com`,
    pathStyle: true,
    checksum: 'sha256',
    conditionalPut: 'yes',
  }),
  b2: (backend, { region, endpoint }) => {
    const needed = region ?? missing(backend, 'region', "the region in the bucket's endpoint, e.g. us-east-005");
    return {
      region: needed,
      endpoint: endpoint ?? `https://s3.${needed}.backblazeb2.com`,
      pathStyle: true,
      checksum: 'md5',
      conditionalPut: 'no',
    };
  },
  generic: (backend, { region, endpoint }) => ({
    region: region ?? 'us-east-1',
    endpoint: endpoint ?? missing(backend, 'endpoint', 'the address of the service, e.g. https://s3.example.com'),
    pathStyle: true,
    checksum: 'sha256',
    conditionalPut: 'maybe',
  }),
};

function missing(backend: string, key: string, what: string): never {
  throw new HoldfastError('InvalidConfiguration', `backend ${backend}: ${key} is missing`, {
    advice: `Set backends.${backend}.${key} in holdfast.yaml: ${what}.`,
  });
}
