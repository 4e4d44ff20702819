import { access } from 'node:fs/promises';
import { secretsOpenToAll } from '../../core/config/secretChecks.ts';
import type { Configuration } from '../../core/config/schema.ts';
import { ok, warning, type Check, type Finding } from './finding.ts';

/** Is no secret's file open to all, and is the offline half of a key really elsewhere. What cannot be read, its user says. */
export function secretsCheck(configuration: Configuration): Check {
  return {
    subject: 'secrets',
    run: async () => {
      const found = [...(await doubtfulSecrets(configuration)), ...(await halvesAtHome(configuration))];
      return found.length > 0 ? found : [ok('no file of a secret is open to more than its owner and group')];
    },
  };
}

async function doubtfulSecrets(configuration: Configuration): Promise<Omit<Finding, 'subject'>[]> {
  const issues = await secretsOpenToAll(configuration);
  return issues.map(({ path, message }) => warning(`${path}: ${message}`, 'Narrow its mode: chmod 600.'));
}

/** `escrow.pub.pem` is made beside `escrow.pem`: as long as both lie here, nothing is in escrow. */
async function halvesAtHome({ keys }: Configuration): Promise<Omit<Finding, 'subject'>[]> {
  const found: Omit<Finding, 'subject'>[] = [];
  for (const [name, key] of Object.entries(keys)) {
    if (key.type !== 'rsa' || key.privateKey || !('file' in key.publicKey)) continue;
    const secretHalf = key.publicKey.file.replace(/\.pub\.pem$/, '.pem');
    if (secretHalf === key.publicKey.file || !(await exists(secretHalf))) continue;
    found.push(
      warning(
        `the private half of ${name} lies on this host, in ${secretHalf}`,
        'Move it offline, e.g. onto two sticks in two places, and prove it there: `holdfast keys prove`.',
      ),
    );
  }
  return found;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
