import { z } from 'zod';
import { configurationSchema } from './schema.ts';

/** The JSON Schema of holdfast.yaml as it is written, for editors: defaults are optional, sizes are text. */
export function configurationJsonSchema(): Record<string, unknown> {
  return {
    title: 'holdfast.yaml',
    description: 'The configuration of Holdfast.',
    ...z.toJSONSchema(configurationSchema, { io: 'input' }),
  };
}
