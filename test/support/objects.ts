import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { GetObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { testS3 } from './servers.ts';

/** What lies on a storage, read past Holdfast: keys below the backend's prefix, and their bytes. */
export interface Store {
  objects(): Promise<Map<string, Buffer>>;
  /** Everything that is there and is no object: uploads under way, files of unfinished writes. */
  leftovers(): Promise<string[]>;
}

const MANIFEST = /^[^/]+\/[^/]+\/[^/]+\/manifest\.json$/;
const OBJECT = /^[^/]+\/[^/]+\/[^/]+\/[^/.][^/]*\.enc(\.\d+)?$/;

export function directoryStore(path: string): Store {
  const files = async () => {
    const entries = await readdir(path, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  };
  const keyOf = (file: string) => relative(path, file);
  return {
    objects: async () => {
      const found = (await files()).filter((file) => isObject(keyOf(file))).toSorted();
      return new Map(await Promise.all(found.map(async (file) => [keyOf(file), await readFile(file)] as const)));
    },
    leftovers: async () => (await files()).map(keyOf).filter((key) => !isObject(key)),
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
  return {
    objects: () =>
      withClient(async (client) => {
        const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
        const keys = Contents.map(({ Key = '' }) => Key).toSorted();
        const bodies = keys.map(async (key) => {
          const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
          return [key, Buffer.from((await Body?.transformToByteArray()) ?? [])] as const;
        });
        return new Map(await Promise.all(bodies));
      }),
    leftovers: () =>
      withClient(async (client) => {
        const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
        return Uploads.map(({ Key = '' }) => Key);
      }),
  };
}
