import { z } from 'zod';
import { messageOf } from '../errors.ts';
import { inventorySchema } from '../postgres/inventorySchema.ts';

/** What is wrong with the text of a `json` part, or undefined. A part of an unknown name must only be JSON. */
export function checkJson(part: string, text: string): string | undefined {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    return `it is not JSON: ${messageOf(error)}`;
  }
  const parsed = SCHEMAS[part]?.safeParse(document);
  return parsed?.success === false ? `it is not what such a part holds: ${z.prettifyError(parsed.error)}` : undefined;
}

const SCHEMAS: Readonly<Record<string, z.ZodType>> = { inventory: inventorySchema };
