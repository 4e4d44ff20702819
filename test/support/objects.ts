import { existsSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import { codeOf } from '../../core/errors.ts';
import { testS3 } from './servers.ts';

/** What lies on a storage, read past Holdfast: keys below the backend's prefix, and their bytes. */
export interface Store {
  keys(): Promise<string[]>;
  objects(): Promise<Map<string, Buffer>>;
  /** Everything that is there and is no object: uploads under way, files of unfinished writes. */
  leftovers(): Promise<string[]>;
  /** Removes every object whose key begins so. */
  remove(prefix: string): Promise<void>;
}

const MANIFEST = /^[^/]+\/[^/]+\/[^/]+\/manifest\.json$/;
const OBJECT = /^[^/]+\/[^/]+\/[^/]+\/[^/.][^/]*\.enc(\.\d+)?$/;

export function directoryStore(path: string): Store {
  const files = async (tries = 10): Promise<string[]> => {
    const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
      // A folder that an upload took away while this looked: look again.
      if (codeOf(error) === 'ENOENT' && tries > 0 && existsSync(path)) return undefined;
      throw error;
    });
    if (entries === undefined) return files(tries - 1);
    return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  };
  const keyOf = (file: string) => relative(path, file);
  const keys = async () => (await files()).map(keyOf).filter(isObject).toSorted();
  return {
    keys,
    objects: async () =>
      new Map(await Promise.all((await keys()).map(async (key) => [key, await readFile(join(path, key))] as const))),
    leftovers: async () => (await files()).map(keyOf).filter((key) => !isObject(key)),
    remove: async (prefix) => {
      for (const key of await keys()) if (key.startsWith(prefix)) await rm(join(path, key));
    },
  };
}

function isObject(key: string): boolean {
  return MANIFEST.test(key) || OBJECT.test(key);
}

export function bucketStore(bucket: string, server: ReturnType<typeof testS3> = testS3()): Store {
  const { endpoint, region, accessKeyId, secretAccessKey } = server;
  const withClient = async <Result>(use: (client: S3Client) => Promise<Result>): Promise<Result> => {
    const credentials = { accessKeyId, secretAccessKey };
    // What was damaged on purpose is read, too.
    const responseChecksumValidation = 'WHEN_REQUIRED';
    const client = new S3Client({ endpoint, region, forcePathStyle: true, credentials, responseChecksumValidation });
    try {
      return await use(client);
    } finally {
      client.destroy();
    }
  };
  const listKeys = async (client: S3Client): Promise<string[]> => {
    const { Contents = [], IsTruncated } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    if (IsTruncated) throw new Error(`the bucket ${bucket} holds more objects than a test should make`);
    return Contents.map(({ Key = '' }) => Key).toSorted();
  };
  return {
    keys: () => withClient(listKeys),
    objects: () =>
      withClient(async (client) => {
        const bodies = (await listKeys(client)).map(async (key) => {
          const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
          return [key, Buffer.from((await Body?.transformToByteArray()) ?? [])] as const;
        });
        return new Map(await Promise.all(bodies));
      }),
    remove: (prefix) =>
      withClient(async (client) => {
        for (const key of await listKeys(client))
          if (key.startsWith(prefix)) await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
      }),
    leftovers: () =>
      withClient(async (client) => {
        const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
        return Uploads.map(({ Key = '' }) => Key);
      }),
  };
}
