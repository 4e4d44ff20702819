import type { Keys } from '../../core/config/open.ts';
import type { Configuration, KeyConfiguration } from '../../core/config/schema.ts';
import { failureOf, ok, warning, type Check, type Finding } from './finding.ts';

/** Can each key be loaded and used for what it is there for, and can every plan's backups be opened if this host is lost. */
export function keyChecks(configuration: Configuration, keys: Keys): Check[] {
  const each = Object.entries(configuration.keys).map(([name, key]) => ({
    subject: `key ${name}`,
    run: async () => [await checkKey(name, key, keys)],
  }));
  const plans = Object.entries(configuration.plans).map(([name, plan]) => ({
    subject: `plan ${name}, keys`,
    run: async () => recipients(plan.encryptTo.flatMap((key) => configuration.keys[key] ?? [])),
  }));
  return [...each, ...plans];
}

async function checkKey(name: string, key: KeyConfiguration, keys: Keys): Promise<Omit<Finding, 'subject'>> {
  const problems = new Map<string, unknown>();
  const remember = (problem: string, error: unknown) => problems.set(problem, error);
  if (key.type === 'ed25519') {
    await keys.checking(remember);
    if (key.privateKey) await keys.signing();
  } else {
    await keys.sealing([name]);
    await keys.opening(remember);
  }
  if (problems.has(name)) return failureOf(problems.get(name));
  return ok(USES[key.type](key));
}

const USES: { readonly [Type in KeyConfiguration['type']]: (key: KeyConfiguration) => string } = {
  'aes-256': () => 'seals and opens',
  rsa: (key) =>
    'privateKey' in key && key.privateKey ? 'seals and opens' : 'seals; its private half is not configured here',
  kms: () => 'named by its ARN; whether AWS lets it be used shows with the first backup',
  ed25519: (key) => ('privateKey' in key && key.privateKey ? 'signs manifests and checks them' : 'checks manifests'),
};

function recipients(keys: readonly KeyConfiguration[]): Omit<Finding, 'subject'>[] {
  const offline = keys.some((key) => key.type === 'kms' || (key.type === 'rsa' && !key.privateKey));
  const openable = keys.some((key) => key.type !== 'rsa' || key.privateKey !== undefined);
  return [
    ...(offline
      ? []
      : [
          warning(
            'every key that opens its backups lies on this host: lose the host, lose the backups',
            'Add an RSA key to encryptTo whose private half is kept offline: `holdfast keys generate`.',
          ),
        ]),
    ...(openable
      ? []
      : [
          warning(
            'no key at hand opens its backups: copies can be proven stored, not opened',
            'Add a key to encryptTo that this host holds, unless it must not be able to read.',
          ),
        ]),
    ...(offline && openable
      ? [ok('opened by a key of this host, and by one whose private half is not configured here')]
      : []),
  ];
}
