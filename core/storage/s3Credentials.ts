import { defaultProvider } from '@aws-sdk/credential-provider-node';
import type { AwsCredentialIdentity, AwsCredentialIdentityProvider } from '@smithy/types';
import { HoldfastError } from '../errors.ts';
import { s3CodeOf, s3StatusOf } from './s3Errors.ts';
import type { S3BackendSettings, S3Credentials } from './s3Profiles.ts';

/** Who a backend is spoken to as; others may take their place while it is in use. */
export interface CredentialSource {
  /** For the SDK. */
  readonly provider: AwsCredentialIdentityProvider;
  /** Whether there is somewhere to find others. */
  readonly renewable: boolean;
  /** As in S3BackendSettings. */
  readonly names?: string | undefined;
  /** Changes whenever others have taken the place of those before. */
  generation(): number;
  /**
   * Looks for others because those of the given generation were refused. True when there are, found now or by somebody else
   * meanwhile.
   */
  renew(refused: number): Promise<boolean>;
}

/** Throws InvalidConfiguration for half a pair. */
export function credentialSource(backend: string, settings: S3BackendSettings): CredentialSource {
  const given = givenIdentity(backend, settings);
  const names = settings.credentialNames;
  if (given === undefined) return { ...chainSource(settings.credentialProfile), names };
  const { renewCredentials } = settings;
  const renew = renewCredentials && (async () => identityOf(await renewCredentials()));
  return { ...sourceOf(async () => given, renew), names };
}

/**
 * Whether other credentials could help. A HEAD is refused without a body that says why, so any 400 or 403 is worth a look
 * at where the credentials come from.
 */
export function mayBeCredentials(error: unknown): boolean {
  const status = s3StatusOf(error);
  // versitygw answers 404 for a key id that it does not know, as if there were no bucket.
  const unknown = ['XAdminUserNotFound', 'NoSuchBucket'].includes(s3CodeOf(error));
  return status === 400 || status === 401 || status === 403 || unknown;
}

type Find = (options?: Record<string, unknown>) => Promise<AwsCredentialIdentity | undefined>;

/**
 * The SDK's default chain, of the profile where one is named. It renews by itself what says when it expires; a profile file that somebody rewrites says nothing,
 * so the chain is walked anew after a refusal.
 */
function chainSource(profile?: string): CredentialSource {
  const newChain = () =>
    defaultProvider({ ignoreCache: true, ...(profile !== undefined && { profile, logger: SILENT }) });
  let chain = newChain();
  return sourceOf(
    (options) => chain(options),
    async (options) => {
      const fresh = newChain();
      const found = await fresh(options);
      chain = fresh;
      return found;
    },
    true,
  );
}

/** The SDK would warn on the console that a named profile comes before the variables: that is why it is named. */
const nothing = () => undefined;
const SILENT = { debug: nothing, info: nothing, warn: nothing, error: nothing };

function sourceOf(find: Find, findOthers: Find | undefined, asksEachTime = false): CredentialSource {
  let current: AwsCredentialIdentity | undefined;
  let generation = 0;
  let renewing: Promise<boolean> | undefined;
  const provide = async (options?: Record<string, unknown>) => {
    if (current === undefined || asksEachTime) current = await find(options);
    if (current === undefined) throw new TypeError('credentials are there or were refused before');
    return current;
  };
  const look = async () => {
    const before = current;
    const found = await findOthers?.().catch(() => undefined);
    if (found === undefined || (before !== undefined && isSame(found, before))) return false;
    current = found;
    generation += 1;
    return true;
  };
  return {
    // Kept here, not by the SDK, which keeps for ever what has no date of expiry.
    provider: Object.assign(provide, { memoized: true }),
    renewable: findOthers !== undefined,
    generation: () => generation,
    renew: async (refused) => {
      if (refused !== generation) return true;
      return (renewing ??= look().finally(() => (renewing = undefined)));
    },
  };
}

function isSame(one: AwsCredentialIdentity, other: AwsCredentialIdentity): boolean {
  return (
    one.accessKeyId === other.accessKeyId &&
    one.secretAccessKey === other.secretAccessKey &&
    one.sessionToken === other.sessionToken
  );
}

function givenIdentity(backend: string, settings: S3BackendSettings): AwsCredentialIdentity | undefined {
  const { accessKeyId, secretAccessKey } = settings;
  if (accessKeyId === undefined && secretAccessKey === undefined) return undefined;
  const identity = identityOf(settings);
  if (identity !== undefined) return identity;
  throw new HoldfastError(
    'InvalidConfiguration',
    `backend ${backend}: only one of accessKeyId and secretAccessKey is set`,
    { advice: 'Set both, or neither to use the default AWS credential chain.' },
  );
}

function identityOf({ accessKeyId, secretAccessKey, sessionToken }: S3Credentials): AwsCredentialIdentity | undefined {
  if (accessKeyId === undefined || secretAccessKey === undefined) return undefined;
  return { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) };
}
