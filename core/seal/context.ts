/** What a sealed part is bound to: it opens as nothing else. */
export interface SealContext {
  /** Backup id. */
  readonly backup: string;
  readonly part: string;
  readonly source: string;
}

/** The encryption context as the message carries it: in plain, but authenticated. */
export function encryptionContext(context: SealContext): Record<string, string> {
  return {
    'holdfast:backup': context.backup,
    'holdfast:part': context.part,
    'holdfast:source': context.source,
  };
}
