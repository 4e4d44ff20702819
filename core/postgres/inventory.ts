import type { InventoryJob } from './inventoryJob.ts';
import type pg from 'pg';
import type { PartSource } from '../backup/part.ts';
import { queryError } from './access.ts';
import { digest, digestOfSpelled } from './digest.ts';
import { generatedStream } from './generated.ts';
import { readInventoryHead } from './inventoryHead.ts';
import type { InventoryObject } from './inventorySchema.ts';
import { dumpsSubscriptions } from './notCarried.ts';
import { objectQueries } from './objectQueries.ts';
import { readTables } from './tableRows.ts';

/** The part `inventory`: inventorySchema.ts says what is in it. Written as it is read, object by object. */
export function inventoryPart(job: InventoryJob): PartSource {
  return {
    part: 'inventory',
    format: 'json',
    lane: 'beside',
    open: (signal) => generatedStream(() => inventoryText(job), signal),
  };
}

async function* inventoryText(job: InventoryJob): AsyncGenerator<string> {
  try {
    const head = JSON.stringify(await readInventoryHead(job));
    yield head.slice(0, -1);
    yield* jsonList('objects', readObjects(job));
    yield* jsonList('tables', readTables(job.client, job.detail));
    yield '}\n';
  } catch (error) {
    throw queryError(job.access, 'taking the inventory', error);
  }
}

async function* jsonList(name: string, items: AsyncIterable<unknown>): AsyncGenerator<string> {
  yield `,${JSON.stringify(name)}:[`;
  let separator = '\n';
  for await (const item of items) {
    yield `${separator}${JSON.stringify(item)}`;
    separator = ',\n';
  }
  yield ']';
}

interface ObjectRow {
  readonly kind: string;
  readonly identity: string;
  readonly definition: string | null;
  readonly spelled: boolean;
  readonly owner: string | null;
  readonly privileges: string | null;
  readonly comment: string | null;
}

async function* readObjects(job: InventoryJob): AsyncGenerator<InventoryObject> {
  const leftOut = job.besideDump === true && !(await dumpsSubscriptions(job.client)) ? 'subscription' : undefined;
  for (const query of objectQueries(job.server.major))
    for await (const row of inBatches<ObjectRow>(job.client, query))
      if (row.kind !== leftOut) yield describeObject(row);
}

function describeObject(row: ObjectRow): InventoryObject {
  const definition = row.definition ?? '';
  return {
    kind: row.kind,
    identity: row.identity,
    definition: row.spelled ? digestOfSpelled(definition) : digest(definition),
    ...(row.owner === null ? {} : { owner: row.owner }),
    ...(row.privileges === null ? {} : { privileges: digest(row.privileges) }),
    ...(row.comment === null ? {} : { comment: digest(row.comment) }),
  };
}

const BATCH = 500;

/** Rows of a query through a cursor, so that definitions of thousands of tables are never held at once. */
async function* inBatches<Row extends pg.QueryResultRow>(client: pg.Client, query: string): AsyncGenerator<Row> {
  await client.query(`declare inventory no scroll cursor for ${query}`);
  for (;;) {
    const { rows } = await client.query<Row>(`fetch ${BATCH} from inventory`);
    yield* rows;
    if (rows.length < BATCH) break;
  }
  await client.query('close inventory');
}
