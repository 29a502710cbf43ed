// Whether a service keeps its clients with their back ends. The Engine's API has no field for it, so a label says it.
import { fail } from '../base/errors.ts';
import type { Labels } from './objects.ts';

/** What tells clients apart. */
export type SessionAffinity = 'client-address';

const LABEL = 'shoal.session-affinity';

/** Undefined: every connection may go to another back end. */
export const affinityOf = (labels: Labels): SessionAffinity | undefined =>
  labels[LABEL] === 'client-address' ? 'client-address' : undefined;

export function checkAffinity(labels: Labels): void {
  const value = labels[LABEL];
  if (value !== undefined && affinityOf(labels) === undefined) {
    fail('invalid', `label ${LABEL} is '${value}': it takes client-address`);
  }
}
