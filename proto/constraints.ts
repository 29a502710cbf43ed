// Placement constraints: `key==value` and `key!=value` on a node's attributes and labels.
// Source of the grammar, the words and the comparison without case: SwarmKit's constraint package.
import { BlockList, isIP } from 'node:net';
import { fail } from '../base/errors.ts';
import type { Labels, Node } from './objects.ts';

export interface Constraint {
  readonly key: string;
  readonly operator: '==' | '!=';
  readonly value: string;
}

const KEY = /^[a-z_][a-z0-9\-_.]+$/i;
const VALUE = /^[a-z0-9:\-_\s.*()?+[\]\\^$|/]+$/i;

/** Code `invalid` with Docker's words for what is no constraint. Unknown keys are allowed: they match no node. */
export function parseConstraint(text: string): Constraint {
  const operator = text.includes('!=') ? '!=' : '==';
  const parts = text.split(operator);
  const [key = '', value = ''] = parts.map((part) => part.trim());
  if (parts.length < 2) fail('invalid', 'constraint expected one operator from ==, !=');
  if (!KEY.test(key)) fail('invalid', `key '${key}' is invalid`);
  if (parts.length > 2 || !VALUE.test(value)) fail('invalid', `value '${parts.slice(1).join(operator)}' is invalid`);
  return { key, operator, value };
}

/** True when the node satisfies every one of them. */
export function matchesConstraints(constraints: readonly Constraint[], node: Node): boolean {
  return constraints.every((constraint) => matches(constraint, node));
}

function matches({ key, operator, value }: Constraint, node: Node): boolean {
  if (key.toLowerCase() === 'node.ip') return isWithin(node.status.address, value) === (operator === '==');
  const actual = attributeOf(node, key);
  if (actual === undefined) return false;
  return (actual.toLowerCase() === value.toLowerCase()) === (operator === '==');
}

const NODE_LABEL = 'node.labels.';
const ENGINE_LABEL = 'engine.labels.';

/** The value behind a key such as `node.labels.rack`; a label that is absent counts as empty; undefined for an unknown key. */
export function attributeOf(node: Node, key: string): string | undefined {
  const name = key.toLowerCase();
  if (name.startsWith(NODE_LABEL)) return labelOf(node.spec.labels, key.slice(NODE_LABEL.length));
  if (name.startsWith(ENGINE_LABEL)) {
    return labelOf(node.description?.engine.labels ?? {}, key.slice(ENGINE_LABEL.length));
  }
  switch (name) {
    case 'node.id':
      return node.id;
    case 'node.hostname':
      return node.description?.hostname ?? '';
    case 'node.role':
      return node.role;
    case 'node.platform.os':
      return node.description?.platform.os ?? '';
    case 'node.platform.arch':
      return node.description?.platform.architecture ?? '';
    default:
      return undefined;
  }
}

const labelOf = (labels: Labels, key: string): string => (Object.hasOwn(labels, key) ? (labels[key] ?? '') : '');

/** `range` is an address or a subnet in CIDR form. What is neither matches nothing. */
function isWithin(address: string, range: string): boolean {
  const [base = '', prefix] = range.split('/');
  const [family, baseFamily] = [isIP(address), isIP(base)];
  if (family === 0 || family !== baseFamily) return false;
  const bits = prefix === undefined ? (family === 4 ? 32 : 128) : Number(prefix);
  if (!Number.isInteger(bits) || bits < 0 || bits > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(base, bits, family === 4 ? 'ipv4' : 'ipv6');
  return list.check(address, family === 4 ? 'ipv4' : 'ipv6');
}
