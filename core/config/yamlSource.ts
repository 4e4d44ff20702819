import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml';
import type { Finding, IssuePath } from './issue.ts';

/** The text of holdfast.yaml as plain data, with the lines things stand on. */
export interface YamlSource {
  readonly data: unknown;
  readonly findings: readonly (Finding & { readonly line?: number })[];
  /** The line of the deepest element of `path` that is there. */
  lineOf(path: IssuePath): number | undefined;
}

/** Reads YAML 1.2 with merge keys (`<<`), so that plans can share settings. Never throws: what is wrong is listed. */
export function readYaml(text: string): YamlSource {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const findings = [...document.errors, ...document.warnings].map((error) => ({
    path: [],
    line: lines.linePos(error.pos[0]).line,
    message: `this is not YAML: ${withoutQuotation(error.message)}`,
  }));
  if (findings.length > 0) return { data: undefined, findings, lineOf: () => undefined };
  try {
    return { data: document.toJS(), findings, lineOf: (path) => lineOf(document, lines, path) };
  } catch {
    // Only aliases are resolved that late: too many of them, or one that nothing defines.
    const message = 'an alias (*name) cannot be resolved; its anchor (&name) must stand before it';
    return { data: undefined, findings: [{ path: [], message }], lineOf: () => undefined };
  }
}

/** Parser messages quote the text after a colon, and the text may be a secret. */
function withoutQuotation(message: string): string {
  return message.replace(/:.*$/s, '').replace(/ at line.*$/s, '');
}

function lineOf(document: Document.Parsed, lines: LineCounter, path: IssuePath): number | undefined {
  let node: unknown = document.contents;
  let offset = rangeStart(node);
  for (const step of path) {
    const next = child(node, document, step);
    if (next === undefined) break;
    node = next.value;
    offset = rangeStart(next.marker) ?? offset;
  }
  return offset === undefined ? undefined : lines.linePos(offset).line;
}

/** The element below a node, and the node that marks its place: a key in a map, an item in a list. */
function child(parent: unknown, document: Document.Parsed, step: string | number) {
  const node = isAlias(parent) ? parent.resolve(document) : parent;
  if (isMap(node)) {
    const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
    return pair === undefined ? undefined : { value: pair.value, marker: pair.key };
  }
  if (isSeq(node) && typeof step === 'number' && step < node.items.length) {
    return { value: node.items[step], marker: node.items[step] };
  }
  return undefined;
}

function rangeStart(node: unknown): number | undefined {
  return (node as Node | undefined)?.range?.[0];
}
