import type { Client } from '@temporalio/client';

type History = Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['fetchHistory']>>;

/** A run's history in plain text: every payload in it, at whatever depth, decoded. */
export async function decodedHistory(client: Client, workflowId: string): Promise<string> {
  return decoded(await client.workflow.getHandle(workflowId).fetchHistory());
}

/** The same of what the server knows of a running one: heartbeat details and last failures of its steps. */
export async function decodedDescription(client: Client, workflowId: string): Promise<string> {
  return decoded((await client.workflow.getHandle(workflowId).describe()).raw);
}

/** Bytes of the largest payload in a history. */
export function largestPayload(history: History): number {
  let largest = 0;
  walk(history, (bytes) => (largest = Math.max(largest, bytes.length)));
  return largest;
}

function decoded(message: unknown): string {
  const texts: string[] = [];
  walk(
    message,
    (bytes) => texts.push(Buffer.from(bytes).toString('utf8')),
    (text) => texts.push(text),
  );
  return texts.join('\n');
}

function walk(value: unknown, onBytes: (bytes: Uint8Array) => void, onText: (text: string) => void = () => undefined) {
  if (value instanceof Uint8Array) onBytes(value);
  else if (typeof value === 'string') onText(value);
  else if (typeof value === 'object' && value !== null) {
    for (const each of Object.values(value)) walk(each, onBytes, onText);
  }
}
