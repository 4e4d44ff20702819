/*
 * The part `globals` is text for psql: what pg_dumpall wrote about roles and tablespaces, then what Holdfast wrote about
 * the database (core/postgres/databaseSettings.ts), with a psql variable for its name. A restore needs its statements one
 * by one.
 */

export interface GlobalsStatement {
  /** Without the semicolon at its end. */
  readonly text: string;
  /** Where the database's name belongs; undefined in a statement about the cluster. */
  readonly nameAt: number | undefined;
}

const NAME_VARIABLE = ':"holdfast_database"';

/** The statements in order; comments and psql's own commands are left out. */
export function splitGlobals(sql: string): GlobalsStatement[] {
  const statements: GlobalsStatement[] = [];
  let text = '';
  let nameAt: number | undefined;
  for (const token of sql.matchAll(TOKEN)) {
    const [piece] = token;
    const command = text.trim() === '' && piece.startsWith('\\');
    if (command || piece.startsWith('--')) continue;
    if (piece === ';') {
      if (text.trim() !== '') statements.push(trimmed(text, nameAt));
      text = '';
      nameAt = undefined;
    } else if (piece === NAME_VARIABLE) {
      nameAt = text.length;
    } else {
      text += piece;
    }
  }
  return statements;
}

/** The statement for a database of this name, quoted already. */
export function statementFor({ text, nameAt }: GlobalsStatement, quotedName: string): string {
  return nameAt === undefined ? text : `${text.slice(0, nameAt)}${quotedName}${text.slice(nameAt)}`;
}

/**
 * Comment, line of a psql command, name variable, string with backslashes, string, quoted name, semicolon, and whatever is
 * none of these, as much of it as there is or a single character.
 */
const TOKEN =
  /--[^\n]*|\\[^\n]*|:"holdfast_database"|\bE'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|;|\s+|[\p{L}\p{N}_$]+|./gsu;

function trimmed(text: string, nameAt: number | undefined): GlobalsStatement {
  const leading = text.length - text.trimStart().length;
  return { text: text.trim(), nameAt: nameAt === undefined ? undefined : nameAt - leading };
}
