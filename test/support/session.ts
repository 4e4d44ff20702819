import { Client } from 'pg';
import type { TestDatabase } from './servers.ts';

/** A session for as long as `use` takes. */
export async function querySession<Result>(
  database: Omit<TestDatabase, 'name'> & { readonly name: string },
  use: (client: Client) => Promise<Result>,
): Promise<Result> {
  const { name, ...login } = database;
  const client = new Client({ ...login, database: name });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
