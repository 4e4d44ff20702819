import { z } from 'zod';

/**
 * The journal of an attempt: one JSON document a line, appended in this order. A segment or object is there for its
 * readers from the moment its line is complete, never before.
 */
const journalEntry = z.discriminatedUnion('type', [
  /** A full segment file of an object. */
  z.object({
    type: z.literal('segment'),
    object: z.string(),
    number: z.int(),
    bytes: z.int(),
    sha256: z.string(),
  }),
  /** An object is whole: its producer ended well and all its segments are above. */
  z.object({ type: z.literal('object'), object: z.string(), bytes: z.int(), sha256: z.string(), segments: z.int() }),
  /** Every object of the backup is whole. */
  z.object({ type: z.literal('end') }),
]);

export type JournalEntry = z.infer<typeof journalEntry>;
export type SegmentEntry = Extract<JournalEntry, { type: 'segment' }>;
export type ObjectEntry = Extract<JournalEntry, { type: 'object' }>;

export const JOURNAL_FILE = 'journal.jsonl';

export function formatEntry(entry: JournalEntry): string {
  return `${JSON.stringify(entry)}\n`;
}

export function parseEntry(line: string): JournalEntry {
  return journalEntry.parse(JSON.parse(line));
}

export function segmentFile(object: string, number: number): string {
  return `${object}.${String(number).padStart(5, '0')}.segment`;
}
