import { z } from 'zod';

/** How the processes of a test run learn where the servers are. */
export const TEST_SERVERS_VARIABLE = 'HOLDFAST_TEST_SERVERS';

const testServers = z.strictObject({
  postgres: z.strictObject({
    host: z.string(),
    port: z.int(),
    user: z.string(),
    password: z.string(),
    binDirectory: z.string(),
  }),
  s3: z.strictObject({
    endpoint: z.string(),
    region: z.string(),
    accessKeyId: z.string(),
    secretAccessKey: z.string(),
    directory: z.string(),
  }),
  temporal: z.strictObject({ address: z.string(), namespace: z.string(), uiUrl: z.string() }),
  programs: z.strictObject({ temporal: z.string(), versitygw: z.string() }),
});

export type TestServers = z.infer<typeof testServers>;

export function testServersFromEnvironment(): TestServers {
  const text = process.env[TEST_SERVERS_VARIABLE];
  if (text === undefined) {
    throw new Error(`${TEST_SERVERS_VARIABLE} is not set: run tests by \`npm test -- FILE\`, see CONTRIBUTING.md`);
  }
  return testServers.parse(JSON.parse(text));
}
