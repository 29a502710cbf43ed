// By which means two nodes encrypt what goes between them. Both choose by themselves, of what both have said that they can,
// and come to the same. Pure.
import { fail } from '../../base/errors.ts';
import type { MeansName, OverlayNode } from './contract.ts';

/** The best first. */
const ORDER: readonly MeansName[] = ['esp', 'wireguard', 'tunnel'];
/** Of a node that has not said: its version had no other. */
const UNSAID: readonly MeansName[] = ['tunnel'];

/** Fails where there is none: such a pair is not carried. */
export function meansOf(
  own: readonly MeansName[],
  peer: { readonly id: string; readonly means?: readonly MeansName[] },
): MeansName {
  const { id, means: theirs = UNSAID } = peer;
  const common = ORDER.find((means) => own.includes(means) && theirs.includes(means));
  if (common) return common;
  return fail('unavailable', `node ${id} can encrypt by ${words(theirs)}, this node by ${words(own)}`);
}

/** Of what a node says that it can: the kernel's only where it has said to be ready, which it does by its life. */
export function usableMeans({ means = UNSAID, life }: Pick<OverlayNode, 'means' | 'life'>): readonly MeansName[] {
  return life === undefined ? means.filter((each) => each !== 'esp') : means;
}

const words = (means: readonly MeansName[]): string => (means.length === 0 ? 'no means' : means.join(', '));
