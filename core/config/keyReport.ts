import { isHoldfastError, messageOf, HoldfastError } from '../errors.ts';
import { loadRsaPrivateKey, loadSigningKey, type OpeningKey, type SigningKey } from '../seal/keys.ts';
import { proveKey } from '../seal/proveKey.ts';
import { proveSigning } from '../seal/proveSigning.ts';
import { loadKeys, unknownName, type Keys } from './open.ts';
import type { Configuration, KeyConfiguration } from './schema.ts';
import { resolveSecret } from './secret.ts';

export type KeyAbility = 'seal' | 'open' | 'sign' | 'check';

/** What one configured key is and can do on this host. */
export interface KeyDescription {
  readonly name: string;
  readonly type: KeyConfiguration['type'];
  /** Undefined when nothing of it can be loaded. */
  readonly id: string | undefined;
  readonly can: readonly KeyAbility[];
  /** Plans that seal to it. */
  readonly plans: readonly string[];
  /** Why it, or a half of it, cannot be used. */
  readonly problems: readonly string[];
}

export interface KeyProof {
  readonly name: string;
  readonly type: KeyConfiguration['type'];
  readonly id: string | undefined;
  /** `unproven`: only one half is at hand, so that nothing can be said about the other. */
  readonly result: 'proven' | 'failed' | 'unproven';
  readonly detail: string;
}

export interface ProveOptions {
  /** One key alone; all of them otherwise. */
  readonly name?: string | undefined;
  /** A file with the private half of that key, e.g. of the escrow key on a mounted stick. */
  readonly privateKeyFile?: string | undefined;
}

/** Describes every configured key by really loading it. */
export async function describeKeys(configuration: Configuration): Promise<KeyDescription[]> {
  return Promise.all(Object.entries(configuration.keys).map(([name, key]) => describe(name, key, configuration)));
}

/**
 * Proves keys by using them: seals and opens, signs and checks. Throws InvalidInput for a name that is not configured or
 * options that do not fit together.
 */
export async function proveKeys(configuration: Configuration, options: ProveOptions = {}): Promise<KeyProof[]> {
  const { name, privateKeyFile } = options;
  if (name === undefined && privateKeyFile !== undefined) {
    throw new HoldfastError('InvalidInput', 'a private key file proves one key, and none was named', {
      advice: 'Name it, e.g. `holdfast keys prove escrow --private-key FILE`.',
    });
  }
  if (name !== undefined && configuration.keys[name] === undefined) {
    throw unknownName('key', name, Object.keys(configuration.keys));
  }
  const chosen = Object.entries(configuration.keys).filter(([key]) => name === undefined || key === name);
  return Promise.all(chosen.map(([key, settings]) => prove(key, settings, configuration, privateKeyFile)));
}

async function describe(name: string, key: KeyConfiguration, configuration: Configuration): Promise<KeyDescription> {
  const found = await halvesOf(name, key, configuration);
  const plans = Object.entries(configuration.plans).filter(([, plan]) => plan.encryptTo.includes(name));
  return {
    name,
    type: key.type,
    id: found.id,
    can: found.can,
    plans: plans.map(([plan]) => plan),
    problems: found.problems,
  };
}

async function halvesOf(name: string, key: KeyConfiguration, configuration: Configuration) {
  const keys = keyAlone(name, key, configuration);
  const problems = new Set<string>();
  const note = (_: string, error: unknown) => void problems.add(messageOf(error));
  const sealing = key.type === 'ed25519' ? [] : await attempt(() => keys.sealing([name]), note);
  const opening = await keys.opening(note);
  const signs = key.type === 'ed25519' && key.privateKey !== undefined;
  const signing = signs ? await attempt(async () => [await keys.signing()], note) : [];
  const checking = await keys.checking(note);
  const can: KeyAbility[] = [];
  if (sealing.length > 0) can.push('seal');
  if (opening.length > 0) can.push('open');
  if (signing.length > 0) can.push('sign');
  if (checking.length > 0) can.push('check');
  const [first] = [...sealing, ...opening, ...signing, ...checking];
  return { id: first?.id, can, problems: [...problems], sealing, opening, signing, checking };
}

function keyAlone(name: string, key: KeyConfiguration, configuration: Configuration): Keys {
  return loadKeys({ ...configuration, keys: { [name]: key } });
}

async function attempt<Key>(load: () => Promise<Key[]>, note: (name: string, error: unknown) => void): Promise<Key[]> {
  try {
    return await load();
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    note('', error);
    return [];
  }
}

async function prove(
  name: string,
  key: KeyConfiguration,
  configuration: Configuration,
  privateKeyFile: string | undefined,
): Promise<KeyProof> {
  const { id, sealing, opening, signing, checking, problems } = await halvesOf(name, key, configuration);
  const outcome = (result: KeyProof['result'], detail: string): KeyProof => ({
    name,
    type: key.type,
    id,
    result,
    detail,
  });
  const [problem] = problems;
  if (problem !== undefined) return outcome('failed', problem);
  try {
    const given = privateKeyFile === undefined ? undefined : await readPrivateHalf(key, privateKeyFile);
    const opener = given !== undefined && given.type !== 'ed25519' ? given : opening[0];
    const signer = given?.type === 'ed25519' ? given : signing[0];
    const [sealer, checker] = [sealing[0], checking[0]];
    if (sealer && opener) {
      await proveKey(sealer, opener);
      return outcome('proven', 'sealed a message and opened it again');
    }
    if (signer && checker) {
      proveSigning(signer, checker);
      return outcome('proven', 'signed a message and checked the signature');
    }
    return outcome(
      'unproven',
      `its private half is not here; holdfast keys prove ${name} --private-key FILE proves it`,
    );
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return outcome('failed', error.message);
  }
}

async function readPrivateHalf(key: KeyConfiguration, file: string): Promise<OpeningKey | SigningKey> {
  if (key.type !== 'rsa' && key.type !== 'ed25519') {
    throw new HoldfastError('InvalidInput', `a key of type ${key.type} has no private half`);
  }
  const pem = await resolveSecret({ file });
  return key.type === 'rsa' ? loadRsaPrivateKey(pem, file) : loadSigningKey(pem, file);
}
