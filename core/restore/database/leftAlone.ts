/** A database that bears the mark of an unfinished restore, and that is nobody's to drop but a person's. */
export interface LeftAlone {
  readonly name: string;
  readonly why: string;
  /** How it is dropped, and how it is kept. */
  readonly advice: string;
}

export function aboutLeft({ name, why, advice }: LeftAlone): string {
  return `${leftMessage({ name, why })}. ${advice}`;
}

export function leftMessage({ name, why }: Pick<LeftAlone, 'name' | 'why'>): string {
  return `database ${name} bears the mark of an unfinished restore and is left alone: ${why}`;
}
