import { configurationJsonSchema } from './jsonSchema.ts';
import type { IssuePath } from './issue.ts';

/** The parts of a JSON Schema that holdfast.yaml's uses. */
export interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: SchemaNode | boolean;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly oneOf?: readonly SchemaNode[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly quantity?: string;
}

/** The keys that may stand in the map at `path` of `data`; with variants told apart by `type`, those of its variant. */
export function knownKeys(data: unknown, path: IssuePath): string[] {
  let nodes: readonly SchemaNode[] = [configurationJsonSchema()];
  let value = data;
  nodes = variantsFor(nodes, value);
  for (const step of path) {
    value = (value as Record<string | number, unknown> | undefined)?.[step];
    nodes = variantsFor(
      nodes.flatMap((node) => childOf(node, step)),
      value,
    );
  }
  return [...new Set(nodes.flatMap((node) => Object.keys(node.properties ?? {})))];
}

/** The shapes a node can have; one alone unless it is a choice. */
export function variantsOf(node: SchemaNode): readonly SchemaNode[] {
  return node.anyOf ?? node.oneOf ?? [node];
}

function variantsFor(nodes: readonly SchemaNode[], value: unknown): readonly SchemaNode[] {
  const type = (value as { type?: unknown } | undefined)?.type;
  const all = nodes.flatMap(variantsOf);
  const chosen = all.filter((node) => node.properties?.['type']?.const === type && type !== undefined);
  return chosen.length > 0 ? chosen : all;
}

function childOf(node: SchemaNode, step: string | number): SchemaNode[] {
  const named = typeof step === 'string' ? node.properties?.[step] : node.items;
  if (named !== undefined) return [named];
  return typeof node.additionalProperties === 'object' ? [node.additionalProperties] : [];
}
