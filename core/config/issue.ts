/** One thing that is wrong, or doubtful, in holdfast.yaml. Never holds a value that could be a secret. */
export interface ConfigurationIssue {
  /** Where, e.g. `plans.shop-daily.backends[1]`; empty for the file as a whole. */
  readonly path: string;
  /** Line in the file, from 1, where it can be known. */
  readonly line?: number;
  /** What was expected, and what to do. */
  readonly message: string;
}

export type IssuePath = readonly (string | number)[];

/** An issue before its line is looked up. */
export interface Finding {
  readonly path: IssuePath;
  readonly message: string;
}

/** `['plans', 'a', 'backends', 1]` as `plans.a.backends[1]`. */
export function formatPath(path: IssuePath): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return text === '' ? step : `${text}.${step}`;
  }, '');
}

/** `line 12, plans.a.backends[1]: expected ...` */
export function formatIssue(issue: ConfigurationIssue): string {
  const where = [issue.line === undefined ? '' : `line ${issue.line}`, issue.path].filter((text) => text !== '');
  return where.length === 0 ? issue.message : `${where.join(', ')}: ${issue.message}`;
}
