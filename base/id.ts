// Branded ids: a task id can not be passed where a node id is wanted.
import { customRandom } from 'nanoid';
import type { Random } from './random.ts';

export type Id<Kind extends string> = string & { readonly __kind: Kind };

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';
const LENGTH = 25;

/** A swarm object's id: 25 characters of [0-9a-z], about 129 bits. */
export function newId<Kind extends string>(random: Random): Id<Kind> {
  return customRandom(ALPHABET, LENGTH, (length) => random.bytes(length))() as Id<Kind>;
}

/** A container's, network's or exec's id: 64 hexadecimal digits. */
export function newHexId<Kind extends string>(random: Random): Id<Kind> {
  return Buffer.from(random.bytes(32)).toString('hex') as Id<Kind>;
}

export const isSwarmId = (text: string): boolean => /^[0-9a-z]{25}$/.test(text);
