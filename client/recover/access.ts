import { readFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import { HoldfastError, messageOf } from '../../core/errors.ts';
import {
  loadAesKey,
  loadCheckingKey,
  loadRsaPrivateKey,
  type CheckingKey,
  type OpeningKey,
} from '../../core/seal/keys.ts';
import type { Backend } from '../../core/storage/backend.ts';
import type { Terminal } from '../terminal.ts';

/** What the worst day leaves: a storage and a key. Everything is on the command line, no configuration is read. */
export interface RecoverOptions {
  readonly local?: string;
  readonly s3Bucket?: string;
  readonly s3Endpoint?: string;
  readonly s3Region?: string;
  readonly s3Prefix?: string;
  readonly s3Provider?: Provider;
  readonly s3PathStyle?: boolean;
  readonly key?: readonly string[];
  readonly verifyKey?: readonly string[];
}

const PROVIDERS = ['aws', 'r2', 'b2', 'generic'] as const;
type Provider = (typeof PROVIDERS)[number];

export function addStorageOptions(command: Command): Command {
  return command
    .option('--local <path>', 'directory that holds the copies')
    .option('--s3-bucket <name>', 'bucket; credentials from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY')
    .option('--s3-endpoint <url>', 'address of the service')
    .option('--s3-region <region>', 'region')
    .option('--s3-prefix <prefix>', 'key prefix inside the bucket')
    .addOption(
      new Option('--s3-provider <provider>', 'whose rules it follows (default: aws, generic with an endpoint)').choices(
        PROVIDERS,
      ),
    )
    .option('--s3-path-style', 'put the bucket into the path (default with an endpoint)')
    .option('--no-s3-path-style', 'put the bucket into the host name (default for aws)')
    .option(
      '--verify-key <file>',
      'public half of a signing key, PEM; can be given several times; without it signatures are not checked',
      several,
    );
}

export function addKeyOption(command: Command): Command {
  return command.option(
    '--key <file>',
    'key that opens it: a raw AES key file or an RSA private key in PEM; can be given several times',
    several,
  );
}

function several(file: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), file];
}

/** The storage that the options name. Throws InvalidInput unless they name exactly one. */
export async function recoverBackend(options: RecoverOptions, environment: NodeJS.ProcessEnv): Promise<Backend> {
  const { local, s3Bucket } = options;
  if ((local === undefined) === (s3Bucket === undefined)) {
    throw new HoldfastError('InvalidInput', 'Exactly one storage has to be named', {
      advice: 'Give --local PATH, or --s3-bucket NAME with its endpoint or region.',
    });
  }
  if (options.s3Endpoint !== undefined && !/^https?:\/\//.test(options.s3Endpoint)) {
    throw new HoldfastError('InvalidInput', `--s3-endpoint ${options.s3Endpoint} is no address`, {
      advice: 'Write it with its scheme, e.g. https://s3.example.com or http://127.0.0.1:9000.',
    });
  }
  // The S3 client takes a third of a second to load; help and wrong usage should not wait for it.
  const { openBackend } = await import('../../core/storage/openBackend.ts');
  if (local !== undefined) return openBackend('storage', { type: 'local', path: local });
  return openBackend('storage', {
    type: 's3',
    bucket: s3Bucket ?? '',
    provider: options.s3Provider ?? (options.s3Endpoint === undefined ? 'aws' : 'generic'),
    prefix: (options.s3Prefix ?? '').replace(/^\/+|\/+$/g, ''),
    endpoint: options.s3Endpoint,
    region: options.s3Region ?? environment.AWS_REGION ?? environment.AWS_DEFAULT_REGION,
    pathStyle: options.s3PathStyle,
    accessKeyId: environment.AWS_ACCESS_KEY_ID,
    secretAccessKey: environment.AWS_SECRET_ACCESS_KEY,
    sessionToken: environment.AWS_SESSION_TOKEN,
    credentialNames: 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment',
    concurrency: 2,
    requestTimeout: 60_000,
  });
}

/** The keys that check signatures; undefined, with a loud warning, when none is given. */
export async function recoverCheckingKeys(
  options: RecoverOptions,
  terminal: Terminal,
): Promise<CheckingKey[] | undefined> {
  const { verifyKey: files } = options;
  if (files !== undefined) {
    return Promise.all(files.map(async (file) => usable(checkingKeyOf, await readKeyFile(file), file, '--verify-key')));
  }
  terminal.warn(
    'SIGNATURES ARE NOT CHECKED: anybody who could write to this storage could have made these manifests. ' +
      'Give the public half of the signing key with --verify-key.',
  );
  return undefined;
}

/** Keys by what is in their files. Throws InvalidInput, InvalidConfiguration. */
export async function recoverOpeningKeys(options: RecoverOptions): Promise<OpeningKey[]> {
  const files = options.key ?? [];
  if (files.length === 0) {
    throw new HoldfastError('InvalidInput', 'No key was given', {
      advice: 'Give --key FILE: the raw AES key, or the RSA private key, that the backup was encrypted to.',
    });
  }
  return Promise.all(files.map(async (file) => usable(openingKeyOf, await readKeyFile(file), file, '--key')));
}

const WANTED = {
  '--key': 'the raw AES key, or the RSA private key, that the backup was encrypted to',
  '--verify-key': 'the public half of the ed25519 key that signed, in PEM',
};

/** A key that is no good here may be a good one of another kind: what is told is which kind is wanted. */
function usable<Key>(
  load: (content: Buffer, file: string) => Key,
  content: Buffer,
  file: string,
  option: keyof typeof WANTED,
): Key {
  try {
    return load(content, file);
  } catch (cause) {
    const message = messageOf(cause).replace(/\.$/, '');
    throw new HoldfastError('InvalidInput', message, { advice: `${option} wants ${WANTED[option]}.`, cause });
  }
}

function checkingKeyOf(content: Buffer, file: string): CheckingKey {
  return loadCheckingKey(content.toString('utf8'), file);
}

const AES_KEY_BYTES = 32;

function openingKeyOf(content: Buffer, file: string): OpeningKey {
  // 32 bytes are a key as other tools keep it; as text, base64 or hex, it is longer.
  if (content.length === AES_KEY_BYTES) return loadAesKey(content.toString('base64'), file);
  const text = content.toString('utf8');
  return text.includes('-----BEGIN') ? loadRsaPrivateKey(text, file) : loadAesKey(text, file);
}

async function readKeyFile(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new HoldfastError('InvalidInput', `The key file ${file} cannot be read: ${messageOf(cause)}`, {
      advice: 'Check its path and that this user may read it.',
      cause,
    });
  }
}
