import type { Finding } from './issue.ts';
import type {
  BackendConfiguration,
  Configuration,
  KeyConfiguration,
  PlanConfiguration,
  SourceConfiguration,
} from './schema.ts';

/**
 * What can be checked: every entry whose own shape is right, and the names of all, so that one mistake does not hide
 * the others.
 */
export interface CheckableConfiguration {
  readonly spool: Configuration['spool'] | undefined;
  readonly keys: Readonly<Record<string, KeyConfiguration>>;
  readonly backends: Readonly<Record<string, BackendConfiguration>>;
  readonly sources: Readonly<Record<string, SourceConfiguration>>;
  readonly plans: Readonly<Record<string, PlanConfiguration>>;
  /** What every plan names, right or wrong in itself. */
  readonly references: Readonly<Record<string, PlanReferences>>;
  readonly names: {
    readonly keys: readonly string[];
    readonly backends: readonly string[];
    readonly sources: readonly string[];
  };
}

export interface PlanReferences {
  readonly source?: string | undefined;
  readonly backends?: readonly string[] | undefined;
  readonly encryptTo?: readonly string[] | undefined;
}

export interface Findings {
  readonly errors: readonly Finding[];
  readonly warnings: readonly Finding[];
}
