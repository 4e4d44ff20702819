import { formatPath } from './issue.ts';
import { variantsOf, type SchemaNode } from './schemaShape.ts';

/** One documented key of holdfast.yaml. */
export interface DocumentedKey {
  /** With `NAME` for a name of one's own choice, e.g. `plans.NAME.copies.required`. */
  readonly path: string;
  /** Of a choice by `type`: the type this key belongs to. */
  readonly variant: string | undefined;
  readonly type: string;
  readonly required: boolean;
  readonly default: string | undefined;
  readonly description: string | undefined;
}

/** docs/configuration.md, out of the JSON Schema. */
export function configurationDocument(schema: SchemaNode): string {
  const sections = Object.entries(schema.properties ?? {}).map(([name, section]) => sectionText(name, section));
  return `${INTRODUCTION}\n${sections.join('\n')}`;
}

/** Every key below a node in the order of the schema. */
export function documentedKeys(node: SchemaNode, path: readonly string[] = [], variant?: string): DocumentedKey[] {
  if (isSecret(node)) return [];
  return variantsOf(node).flatMap((shape) => {
    const chosen = typeof shape.properties?.['type']?.const === 'string' ? shape.properties['type'].const : variant;
    const own = Object.entries(shape.properties ?? {}).flatMap(([name, child]) => [
      documentKey(child, [...path, name], shape.required?.includes(name) === true, chosen),
      ...documentedKeys(child, [...path, name], chosen),
    ]);
    const entry = shape.additionalProperties;
    const named = typeof entry === 'object' ? documentedKeys(entry, [...path, 'NAME'], chosen) : [];
    const listed = shape.items === undefined ? [] : documentedKeys(shape.items, inList(path), chosen);
    return [...own, ...named, ...listed];
  });
}

/** The keys of a list's entries follow the list's own, e.g. `sources.NAME.checks[].sql`. */
function inList(path: readonly string[]): string[] {
  return [...path.slice(0, -1), `${path.at(-1) ?? ''}[]`];
}

function documentKey(
  node: SchemaNode,
  path: readonly string[],
  required: boolean,
  variant: string | undefined,
): DocumentedKey {
  return {
    path: formatPath(path),
    variant,
    type: typeOf(node),
    required: required && node.default === undefined,
    default: defaultOf(node),
    description: node.description,
  };
}

/** A map that defaults to nothing defaults to the defaults of its keys, which have lines of their own. */
function defaultOf({ default: value }: SchemaNode): string | undefined {
  const text = value === undefined ? '{}' : JSON.stringify(value);
  return text === '{}' ? undefined : text;
}

function typeOf(node: SchemaNode): string {
  if (isSecret(node)) return 'secret';
  if (node.const !== undefined) return `\`${JSON.stringify(node.const)}\``;
  if (node.enum !== undefined) return node.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (node.quantity !== undefined) return node.quantity;
  if (node.items !== undefined) return `list of ${typeOf(node.items)}`;
  if (node.anyOf !== undefined || node.oneOf !== undefined || node.properties !== undefined) return 'map';
  if (typeof node.additionalProperties === 'object') return 'map by name';
  if (node.type === 'integer') return `whole number${range(node)}`;
  if (node.type === 'string') return 'text';
  if (node.type === 'boolean') return '`true` or `false`';
  return String(node.type);
}

function range({ minimum, maximum }: SchemaNode): string {
  const from = minimum === undefined || minimum === Number.MIN_SAFE_INTEGER ? '' : `from ${minimum}`;
  const to = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? '' : `to ${maximum}`;
  const text = [from, to].filter((part) => part !== '').join(' ');
  return text === '' ? '' : `, ${text}`;
}

function isSecret(node: SchemaNode): boolean {
  const keys = node.anyOf?.flatMap((shape) => Object.keys(shape.properties ?? {})) ?? [];
  return keys.join() === 'env,file';
}

function sectionText(name: string, section: SchemaNode): string {
  const rows = documentedKeys(section, [name]).map((key) =>
    row([
      `\`${key.path}\`${key.variant === undefined || key.path.endsWith('.type') ? '' : ` (${key.variant})`}`,
      key.type,
      key.required ? '**required**' : key.default === undefined ? '' : `\`${key.default}\``,
      key.description ?? '',
    ]),
  );
  const head = [row(['key', 'type', 'default', 'meaning']), row(['---', '---', '---', '---'])];
  return [`## ${name}`, '', section.description ?? '', '', ...head, ...rows, ''].join('\n');
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

const INTRODUCTION = `# holdfast.yaml

Every key of the configuration. This page is generated from its schema by \`npm run docs:configuration\`; the JSON Schema
for editors beside it, [holdfast.schema.json](holdfast.schema.json), comes from the same place. \`holdfast config check\`
tells every mistake of a file at once, each with its line.

- The file is the one \`--config\` names, else the one the environment variable \`HOLDFAST_CONFIG\` names, else
  \`./holdfast.yaml\`. It is YAML 1.2 with merge keys (\`<<: *anchor\`), so that plans can share settings.
- \`NAME\` stands for a name of your choice: lower-case letters, digits, \`-\` and \`_\`.
- A **secret** is never written into the file. It is \`{ env: VARIABLE }\` or \`{ file: PATH }\`; a file's last line break is
  not part of the value, and its mode should be 0640 at most.
- A **size** is a number of bytes or text such as \`64MiB\` (1024-based) or \`64MB\` (1000-based). A **duration** is text such
  as \`30s\`, \`15m\`, \`36h\`, \`30d\`. A **percentage** is text such as \`50%\`, or a number from 0 to 100.
- Relative paths start at the folder of the file.
- An unknown key is an error.

For editors that know YAML schemas, put this on the file's first line:

\`\`\`yaml
# yaml-language-server: $schema=./holdfast.schema.json
\`\`\`
`;
