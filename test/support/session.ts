import { Client } from 'pg';

export interface SessionLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly name: string;
}

/** A session for as long as `use` takes. */
export async function querySession<Result>(
  { host, port, user, password, name }: SessionLogin,
  use: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({ host, port, user, password, database: name });
  // Restores end sessions. Between two queries nobody waits for an answer, and the error would fail whichever test runs.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
