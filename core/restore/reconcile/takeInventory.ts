import { connect, endSession, queryError, type DatabaseAccess } from '../../postgres/access.ts';
import { inventoryPart } from '../../postgres/inventory.ts';
import { inventorySchema, type Inventory } from '../../postgres/inventorySchema.ts';
import { readServer } from '../../postgres/server.ts';

/** The inventory of a database as it is now, taken as a backup takes it. */
export async function takeInventory(
  database: DatabaseAccess,
  detail: Inventory['detail'],
  signal: AbortSignal,
): Promise<Inventory> {
  const client = await connect(database, signal);
  // Whatever query is under way ends with its session.
  const stop = () => void endSession(client);
  signal.addEventListener('abort', stop, { once: true });
  try {
    await client.query('begin isolation level repeatable read, read only');
    const server = await readServer(client);
    const { plaintext, finished } = inventoryPart({ access: database, detail, server, client }).open(signal);
    const chunks: Buffer[] = [];
    for await (const chunk of plaintext) chunks.push(Buffer.from(chunk));
    await finished;
    return inventorySchema.parse(JSON.parse(Buffer.concat(chunks).toString('utf8')));
  } catch (error) {
    signal.throwIfAborted();
    throw queryError(database, 'taking the inventory', error);
  } finally {
    signal.removeEventListener('abort', stop);
    await endSession(client);
  }
}
