import { messageOf } from '../errors.ts';
import { formatPath, type ConfigurationIssue, type IssuePath } from './issue.ts';
import type { Configuration } from './schema.ts';
import { secretReference, type SecretReference } from './schemaParts.ts';
import { resolveSecret } from './secret.ts';

/** Every secret of the configuration that cannot be had on this host, or lies in a file that too many can read. */
export async function checkSecrets(configuration: Configuration): Promise<ConfigurationIssue[]> {
  const found = await Promise.all(referencesIn(configuration, []).map(checkOne));
  return found.flat();
}

/** The files of secrets that more than their owner and group may read or write. What cannot be read is left out. */
export async function secretsOpenToAll(configuration: Configuration): Promise<ConfigurationIssue[]> {
  const found = await Promise.all(referencesIn(configuration, []).map(async (place) => (await look(place)).tooOpen));
  return found.flat();
}

interface Place {
  readonly path: IssuePath;
  readonly reference: SecretReference;
}

async function checkOne(place: Place): Promise<ConfigurationIssue[]> {
  const { tooOpen, unusable } = await look(place);
  return [...tooOpen, ...unusable];
}

async function look({ path, reference }: Place) {
  const tooOpen: ConfigurationIssue[] = [];
  const unusable: ConfigurationIssue[] = [];
  const onWarning = (message: string) => void tooOpen.push({ path: formatPath(path), message });
  // What is public may be readable by all.
  const isPublic = path.at(-1) === 'publicKey';
  try {
    await resolveSecret(reference, isPublic ? {} : { onWarning });
  } catch (error) {
    unusable.push({ path: formatPath(path), message: messageOf(error) });
  }
  return { tooOpen, unusable };
}

function referencesIn(value: unknown, path: IssuePath): Place[] {
  const parsed = secretReference.safeParse(value);
  if (parsed.success) return [{ path, reference: parsed.data }];
  if (Array.isArray(value) || typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => referencesIn(inner, [...path, key]));
}
