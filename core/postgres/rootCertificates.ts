import { access as checkAccess, constants } from 'node:fs/promises';
import type { DatabaseConfiguration } from '../config/sourceSchema.ts';

/** Where systems keep the authorities they trust, in one PEM file: Debian and its like, Red Hat, SUSE, Alpine and BSD. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/**
 * The PEM file of the authorities that a server's certificate is held against: the configured one, else the system's.
 * One file for our own sessions and for PostgreSQL's programs, so that neither trusts what the other refuses; libpq
 * knows `sslrootcert=system` from 16 on only, and only for verify-full. Undefined where nothing is verified or the system
 * has none.
 */
export async function rootCertificates({
  sslmode,
  sslrootcert,
}: Pick<DatabaseConfiguration, 'sslmode'> & { readonly sslrootcert?: string | undefined }): Promise<
  string | undefined
> {
  if (sslrootcert !== undefined) return sslrootcert;
  if (sslmode !== 'verify-ca' && sslmode !== 'verify-full') return undefined;
  for (const bundle of SYSTEM_BUNDLES) {
    const readable = await checkAccess(bundle, constants.R_OK).then(
      () => true,
      () => false,
    );
    if (readable) return bundle;
  }
  return undefined;
}
