import { Option, type Command } from 'commander';
import { HoldfastError, isHoldfastError } from '../../core/errors.ts';
import type { RestoreCopy } from '../../core/restore/run.ts';
import type { OwnDirectory } from '../../core/restore/trees/trees.ts';
import type { Backend } from '../../core/storage/backend.ts';
import type { BackendSettings } from '../../core/storage/openBackend.ts';

/** What the worst day leaves: storages and a key. Everything is on the command line, no configuration is read. */
export interface StorageOptions {
  /** All that was said of storages, in its order: which bucket an option is of follows from that. */
  readonly storageWords?: readonly StorageWord[];
}

export interface StorageWord {
  /** Commander's name of the option. */
  readonly option: string;
  readonly value: string | boolean;
}

const PROVIDERS = ['aws', 'r2', 'b2', 'generic'] as const;

/** The options that name storages; `several` says what more than one are for, and goes into the help. */
export function addStorageOptions(command: Command, several: string): Command {
  const again = `; can be given several times: ${several}`;
  const options = [
    new Option('--local <path>', `directory that holds the copies${again}`),
    new Option(
      '--s3-bucket <name>',
      'bucket; credentials from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; can be given several times, each followed by its own of the options below',
    ),
    new Option('--s3-endpoint <url>', 'address of the service'),
    new Option('--s3-region <region>', 'region'),
    new Option('--s3-prefix <prefix>', 'key prefix inside the bucket'),
    new Option('--s3-profile <name>', 'credentials from this profile of ~/.aws in place of the variables'),
    new Option('--s3-provider <provider>', 'whose rules it follows (default: aws, generic with an endpoint)').choices(
      PROVIDERS,
    ),
    new Option('--s3-path-style', 'put the bucket into the path (default with an endpoint)'),
    new Option('--no-s3-path-style', 'put the bucket into the host name (default for aws)'),
  ];
  for (const option of options) {
    command.addOption(option);
    command.on(`option:${option.name()}`, (text?: string) => {
      const before = (command.getOptionValue('storageWords') ?? []) as readonly StorageWord[];
      const word: StorageWord = { option: option.attributeName(), value: text ?? !option.negate };
      command.setOptionValue('storageWords', [...before, word]);
    });
  }
  return command;
}

/** Storages that were named, opened: nothing is connected before its first use. */
export interface Storages {
  /** In the order in which they were named. */
  readonly copies: readonly RestoreCopy[];
  /** Those on this machine: nothing is restored into there. */
  readonly directories: readonly OwnDirectory[];
  close(): void;
}

/** The storages that the options name. Throws InvalidInput where they name none, or one that cannot be. */
export async function recoverStorages(options: StorageOptions, environment: NodeJS.ProcessEnv): Promise<Storages> {
  // The S3 client takes a third of a second to load; help and wrong usage should not wait for it.
  const named = namedStorages(options.storageWords ?? []);
  if (named.length === 0)
    throw new HoldfastError('InvalidInput', 'No storage was named', {
      advice: 'Give --local PATH, or --s3-bucket NAME with its endpoint or region.',
    });
  const all = named.map((storage) => ({ name: nameOf(storage), settings: settingsOf(storage, environment) }));
  const { openBackend } = await import('../../core/storage/openBackend.ts');
  const backends = distinct(all).map(({ name, settings }) => openNamed(openBackend, name, settings));
  return {
    copies: backends.map((backend) => ({ backend: backend.name, open: async () => backend })),
    directories: all.flatMap(({ settings }) =>
      settings.type === 'local' ? [{ what: 'the storage', path: settings.path }] : [],
    ),
    close: () => {
      for (const backend of backends) backend.close();
    },
  };
}

type NamedStorage = { readonly local: string } | { readonly bucket: string; readonly said: BucketWords };

type BucketWords = Readonly<Partial<Record<string, string | boolean>>>;

/** An option is of the bucket before it; one before the first bucket is of all that do not say otherwise. */
function namedStorages(words: readonly StorageWord[]): NamedStorage[] {
  const first = words.findIndex(({ option }) => option === 's3Bucket');
  const common = words.slice(0, Math.max(first, 0)).filter(({ option }) => option !== 'local');
  const named: NamedStorage[] = [];
  for (const [index, { option, value }] of words.entries()) {
    if (option === 'local') named.push({ local: String(value) });
    if (option === 's3Bucket') {
      const after = words.slice(index + 1);
      const next = after.findIndex((word) => word.option === 's3Bucket');
      const own = after.slice(0, next === -1 ? undefined : next).filter((word) => word.option !== 'local');
      const said = Object.fromEntries([...common, ...own].map((word) => [word.option, word.value]));
      named.push({ bucket: String(value), said });
    }
    if (first === -1 && option !== 'local')
      throw new HoldfastError('InvalidInput', 'Something is said of a bucket, and none is named', {
        advice: 'Name it with --s3-bucket.',
      });
  }
  return named;
}

/** As it stands on the command line: what is said of a storage is said of this. */
function nameOf(storage: NamedStorage): string {
  if ('local' in storage) return storage.local;
  const prefix = prefixOf(storage.said);
  return `s3://${storage.bucket}${prefix === '' ? '' : `/${prefix}`}`;
}

function prefixOf({ s3Prefix }: BucketWords): string {
  return textOf(s3Prefix)?.replace(/^\/+|\/+$/g, '') ?? '';
}

function textOf(value: string | boolean | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function settingsOf(storage: NamedStorage, environment: NodeJS.ProcessEnv): BackendSettings {
  if ('local' in storage) return { type: 'local', path: storage.local };
  const { bucket, said } = storage;
  const endpoint = textOf(said['s3Endpoint']);
  if (endpoint !== undefined && !/^https?:\/\//.test(endpoint)) {
    throw new HoldfastError('InvalidInput', `--s3-endpoint ${endpoint} is no address`, {
      advice: 'Write it with its scheme, e.g. https://s3.example.com or http://127.0.0.1:9000.',
    });
  }
  const provider = PROVIDERS.find((each) => each === said['s3Provider']);
  const pathStyle = said['s3PathStyle'];
  return {
    type: 's3',
    bucket,
    provider: provider ?? (endpoint === undefined ? 'aws' : 'generic'),
    prefix: prefixOf(said),
    endpoint,
    region: textOf(said['s3Region']) ?? environment['AWS_REGION'] ?? environment['AWS_DEFAULT_REGION'],
    ...(typeof pathStyle === 'boolean' && { pathStyle }),
    ...credentialsOf(textOf(said['s3Profile']), environment),
    concurrency: 2,
    requestTimeout: 60_000,
  };
}

function credentialsOf(profile: string | undefined, environment: NodeJS.ProcessEnv) {
  if (profile !== undefined)
    return { credentialProfile: profile, credentialNames: `the profile ${profile} in ~/.aws/credentials` };
  return {
    accessKeyId: environment['AWS_ACCESS_KEY_ID'],
    secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'],
    sessionToken: environment['AWS_SESSION_TOKEN'],
    credentialNames: 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment',
  };
}

interface StorageToOpen {
  readonly name: string;
  readonly settings: BackendSettings;
}

/** Without those that were named twice; buckets of one name on several services by their addresses too. */
function distinct(storages: readonly StorageToOpen[]): StorageToOpen[] {
  const once = storages.filter(({ settings }, index) => {
    const same = (each: StorageToOpen) => JSON.stringify(each.settings) === JSON.stringify(settings);
    return storages.findIndex(same) === index;
  });
  return once.map(({ name, settings }) => {
    const isShared = once.filter((each) => each.name === name).length > 1;
    if (!isShared || settings.type === 'local') return { name, settings };
    return { name: `${name} (${settings.endpoint ?? settings.region ?? settings.provider})`, settings };
  });
}

type Open = (name: string, settings: BackendSettings) => Backend;

/** What is wrong with a backend's configuration is wrong with the command line here. */
function openNamed(open: Open, name: string, settings: BackendSettings): Backend {
  try {
    return open(name, settings);
  } catch (cause) {
    if (!isHoldfastError(cause, 'InvalidConfiguration')) throw cause;
    throw new HoldfastError('InvalidInput', cause.message, {
      advice: 'Say it with --s3-region, --s3-endpoint or --s3-provider, and set both variables of the credentials.',
      cause,
    });
  }
}
