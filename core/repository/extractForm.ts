import { HoldfastError } from '../errors.ts';
import type { Manifest, ManifestPart } from './manifest.ts';

export const EXTRACT_FORMS = ['dump', 'sql', 'tar', 'files', 'json'] as const;

/**
 * What a part can be taken out as: `dump` a pg_dump archive for pg_restore, `sql` text for psql, `tar` the archive of a
 * tree, `files` the tree itself, `json` a document.
 */
export type ExtractForm = (typeof EXTRACT_FORMS)[number];

/** The form asked for, or the part's own. Throws InvalidInput for one that the part cannot take. */
export function extractForm(manifest: Manifest, part: ManifestPart, asked: ExtractForm | undefined): ExtractForm {
  const forms = FORMS[part.format];
  const form = asked ?? forms[0];
  if (forms.includes(form)) return form;
  throw new HoldfastError('InvalidInput', `Part ${part.part} of backup ${manifest.id} cannot be taken out as ${form}`, {
    advice: `It can be taken out as ${forms.join(' or ')}.`,
  });
}

const FORMS: Readonly<Record<ManifestPart['format'], readonly [ExtractForm, ...ExtractForm[]]>> = {
  'pg_dump-custom': ['dump', 'sql'],
  sql: ['sql'],
  tar: ['tar', 'files'],
  json: ['json'],
};
