import { HoldfastError } from '../errors.ts';
import {
  checkingHalf,
  kmsKey,
  loadAesKey,
  loadCheckingKey,
  loadRsaPrivateKey,
  loadRsaPublicKey,
  loadSigningKey,
  type CheckingKey,
  type OpeningKey,
  type SealingKey,
  type SigningKey,
} from '../seal/keys.ts';
import type { DatabaseAccess } from '../postgres/access.ts';
import type { Backend } from '../storage/backend.ts';
import { openBackend, type BackendSettings } from '../storage/openBackend.ts';
import type { LookUpLearned } from '../catalog/probes.ts';
import { didYouMean } from './nearest.ts';
import type { BackendConfiguration, Configuration, KeyConfiguration, SourceConfiguration } from './schema.ts';
import type { SecretReference } from './schemaParts.ts';
import type { DatabaseConfiguration } from './sourceSchema.ts';
import { resolveSecret } from './secret.ts';

/*
 * From the configuration to things that work. Everything is made on first use and kept: a backend or key nobody asks for
 * is not opened, and one missing secret stops only what needs it.
 */

export interface Backends {
  /** Throws InvalidInput for an unknown name, InvalidConfiguration for settings or secrets that cannot be used. */
  get(name: string): Promise<Backend>;
  close(): void;
}

export interface Keys {
  /** The named recipients. Throws InvalidConfiguration for one that cannot be used. */
  sealing(names: readonly string[]): Promise<SealingKey[]>;
  /** Every key at hand that opens; one that cannot be loaded is told to `onProblem` and left out. */
  opening(onProblem?: KeyProblem): Promise<OpeningKey[]>;
  /** The first ed25519 key with a private half. Throws KeyMissing when there is none. */
  signing(): Promise<SigningKey>;
  /** Every key at hand that checks signatures; one that cannot be loaded is told to `onProblem` and left out. */
  checking(onProblem?: KeyProblem): Promise<CheckingKey[]>;
}

/** Hears of a configured key that cannot be loaded. */
export type KeyProblem = (name: string, error: unknown) => void;

/**
 * `lookUpLearned` tells what a probe found out about a storage; without it, and where it knows nothing, the provider's
 * profile holds.
 */
export function openBackends(configuration: Configuration, lookUpLearned?: LookUpLearned): Backends {
  const opened = new Map<string, Promise<Backend>>();
  const open = async (name: string) => {
    const settings = await backendSettings(configuration, name);
    return openBackend(name, settings, await lookUpLearned?.(name, settings));
  };
  const ready = new Set<Backend>();
  return {
    get: async (name) => {
      const backend = await remembered(opened, name, () => open(name));
      ready.add(backend);
      return backend;
    },
    close: () => {
      for (const backend of ready) backend.close();
    },
  };
}

export function loadKeys(configuration: Configuration): Keys {
  const entries = Object.entries(configuration.keys);
  const sealing = new Map<string, Promise<SealingKey>>();
  const opening = new Map<string, Promise<OpeningKey>>();
  const signing = new Map<string, Promise<SigningKey>>();
  const checking = new Map<string, Promise<CheckingKey>>();
  return {
    sealing: (names) =>
      Promise.all(
        names.map((name) => {
          const key = configuration.keys[name];
          if (!key) throw unknownName('key', name, Object.keys(configuration.keys));
          return remembered(sealing, name, () => loadSealing(name, key));
        }),
      ),
    opening: (onProblem) =>
      usable(
        entries.filter(([, key]) => canOpen(key)),
        (name, key) => remembered(opening, name, () => loadOpening(name, key)),
        onProblem,
      ),
    signing: async () => {
      const [first] = entries.filter(([, key]) => key.type === 'ed25519' && key.privateKey !== undefined);
      if (!first) throw noSigningKey();
      const [name, key] = first;
      return remembered(signing, name, () => loadSigning(name, key));
    },
    checking: (onProblem) =>
      usable(
        entries.filter(([, key]) => key.type === 'ed25519'),
        (name, key) => remembered(checking, name, () => loadChecking(name, key)),
        onProblem,
      ),
  };
}

/** A backend's settings with every secret in them. Throws InvalidInput for an unknown name, InvalidConfiguration. */
export async function backendSettings(configuration: Configuration, name: string): Promise<BackendSettings> {
  const settings = configuration.backends[name];
  if (!settings) throw unknownName('backend', name, Object.keys(configuration.backends));
  return resolveBackend(settings);
}

/** The catalog's connection URL: a secret. Throws InvalidConfiguration. */
export function catalogUrl(configuration: Configuration): Promise<string> {
  return resolveSecret(configuration.catalog.url);
}

/**
 * A database's settings with its password in place of the reference. Read anew each time: a rotated password is used
 * without a restart, and none is kept. Throws InvalidConfiguration.
 */
export async function databaseAccess({ password, ...rest }: DatabaseConfiguration): Promise<DatabaseAccess> {
  return { ...rest, ...(password && { password: await resolveSecret(password) }) };
}

/**
 * The server of a source as a restore sees it: a role that creates databases, connected to the maintenance database.
 * Throws InvalidInput for a source without a database, InvalidConfiguration.
 */
export async function restoreServer(configuration: Configuration, name: string): Promise<DatabaseAccess> {
  const { database, restore } = sourceNamed(configuration, name);
  if (!database) throw withoutDatabase(name);
  // Another role has another password; one that needs none must not be given the first one's.
  const role = restore.user === undefined ? {} : { user: restore.user, password: restore.password };
  const access = await databaseAccess({ ...database, ...role, name: restore.maintenanceDatabase });
  return { ...access, restores: true };
}

/** The server on which drills of a source make their scratch databases. Throws as `restoreServer` does. */
export async function drillServer(configuration: Configuration, name: string): Promise<DatabaseAccess> {
  const { database, drill } = sourceNamed(configuration, name);
  if (!database) throw withoutDatabase(name);
  if (drill.server) {
    const { maintenanceDatabase, ...server } = drill.server;
    const access = await databaseAccess({ ...server, name: maintenanceDatabase, rolePasswords: false });
    return { ...access, restores: true };
  }
  if (drill.onSourceServer) return restoreServer(configuration, name);
  throw new HoldfastError('InvalidConfiguration', `No server is named for drills of ${name}`, {
    advice: `Name one under sources.${name}.drill.server, or allow its own with onSourceServer: true.`,
  });
}

/** Names of all databases that are backed up, on whichever server. */
export function sourceDatabases({ sources }: Configuration): string[] {
  return Object.values(sources).flatMap(({ database }) => database?.name ?? []);
}

/** A source of the configuration. Throws InvalidInput for an unknown one. */
export function sourceNamed(configuration: Configuration, name: string): SourceConfiguration {
  const source = configuration.sources[name];
  if (!source) throw unknownName('source', name, Object.keys(configuration.sources));
  return source;
}

function withoutDatabase(source: string): HoldfastError {
  return new HoldfastError('InvalidInput', `Source ${source} has no database`, {
    advice: `Restore its files, or name its database under sources.${source}.database.`,
  });
}

/** For a name in a command or a workflow's input that the configuration does not have. */
export function unknownName(what: 'backend' | 'source' | 'plan' | 'key', name: string, known: readonly string[]) {
  return new HoldfastError(
    'InvalidInput',
    `There is no ${what} ${name} in the configuration${didYouMean(name, known)}`,
    {
      advice: known.length === 0 ? `It has no ${what} at all.` : `It has: ${known.join(', ')}.`,
    },
  );
}

async function resolveBackend(settings: BackendConfiguration): Promise<BackendSettings> {
  if (settings.type === 'local') return settings;
  const { accessKeyId, secretAccessKey, sessionToken, ...rest } = settings;
  const credentials = async () => ({
    accessKeyId: await resolveOptional(accessKeyId),
    secretAccessKey: await resolveOptional(secretAccessKey),
    sessionToken: await resolveOptional(sessionToken),
  });
  // The environment of a process stays as it is; a file may be replaced by whoever rotates what is in it.
  const inFiles = [accessKeyId, secretAccessKey, sessionToken].some((secret) => secret && 'file' in secret);
  return { ...rest, ...(await credentials()), ...(inFiles && { renewCredentials: credentials }) };
}

async function resolveOptional(reference: SecretReference | undefined): Promise<string | undefined> {
  return reference === undefined ? undefined : resolveSecret(reference);
}

function canOpen(key: KeyConfiguration): boolean {
  return key.type === 'aes-256' || key.type === 'kms' || (key.type === 'rsa' && key.privateKey !== undefined);
}

async function loadSealing(name: string, key: KeyConfiguration): Promise<SealingKey> {
  if (key.type === 'aes-256') return loadAesKey(await resolveSecret(key.key), `keys.${name}`);
  if (key.type === 'rsa') return loadRsaPublicKey(await resolveSecret(key.publicKey), `keys.${name}.publicKey`);
  if (key.type === 'kms') return kmsKey(key.keyArn);
  throw new HoldfastError('InvalidConfiguration', `keys.${name} signs; it cannot seal`, {
    advice: 'Name keys of the types aes-256, rsa or kms in encryptTo.',
  });
}

async function loadOpening(name: string, key: KeyConfiguration): Promise<OpeningKey> {
  if (key.type === 'aes-256') return loadAesKey(await resolveSecret(key.key), `keys.${name}`);
  if (key.type === 'kms') return kmsKey(key.keyArn);
  if (key.type === 'rsa' && key.privateKey) {
    return loadRsaPrivateKey(await resolveSecret(key.privateKey), `keys.${name}.privateKey`);
  }
  throw new TypeError(`keys.${name} does not open`);
}

async function loadSigning(name: string, key: KeyConfiguration): Promise<SigningKey> {
  if (key.type !== 'ed25519' || !key.privateKey) throw new TypeError(`keys.${name} does not sign`);
  return loadSigningKey(await resolveSecret(key.privateKey), `keys.${name}.privateKey`);
}

async function loadChecking(name: string, key: KeyConfiguration): Promise<CheckingKey> {
  if (key.type !== 'ed25519') throw new TypeError(`keys.${name} does not check signatures`);
  if (key.publicKey) return loadCheckingKey(await resolveSecret(key.publicKey), `keys.${name}.publicKey`);
  return checkingHalf(await loadSigning(name, key));
}

async function usable<Key>(
  entries: readonly (readonly [string, KeyConfiguration])[],
  load: (name: string, key: KeyConfiguration) => Promise<Key>,
  onProblem: KeyProblem | undefined,
): Promise<Key[]> {
  const loaded = await Promise.all(
    entries.map(async ([name, key]) => {
      try {
        return [await load(name, key)];
      } catch (error) {
        onProblem?.(name, error);
        return [];
      }
    }),
  );
  return loaded.flat();
}

/** A failure is not kept: the secret may be there at the next try. */
function remembered<Thing>(
  known: Map<string, Promise<Thing>>,
  name: string,
  make: () => Promise<Thing>,
): Promise<Thing> {
  const found = known.get(name);
  if (found) return found;
  const made = make();
  known.set(name, made);
  made.catch(() => known.delete(name));
  return made;
}

function noSigningKey(): HoldfastError {
  return new HoldfastError('KeyMissing', 'No key of the configuration signs manifests', {
    advice: 'Make one with `holdfast keys generate` and name its privateKey under keys, with type ed25519.',
  });
}
