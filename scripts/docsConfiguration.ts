import { writeFile } from 'node:fs/promises';
import { configurationDocument } from '../core/config/documentation.ts';
import { configurationJsonSchema } from '../core/config/jsonSchema.ts';

/** Writes docs/configuration.md and docs/holdfast.schema.json out of the schema: `npm run docs:configuration`. */
const schema = configurationJsonSchema();
await writeFile(new URL('../docs/configuration.md', import.meta.url), configurationDocument(schema));
await writeFile(new URL('../docs/holdfast.schema.json', import.meta.url), `${JSON.stringify(schema, undefined, 2)}\n`);
