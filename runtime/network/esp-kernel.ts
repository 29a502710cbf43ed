// What the kernel has of one network's ESP, seen as a plan: so that what is wanted is compared with what is there, whoever
// made it and whatever became of it.
import { type EspPlan, type EspPlace, espLinkName, policyKey, policyText, stateKey } from './esp-plan.ts';
import {
  type Link,
  dumpAddresses,
  dumpLinks,
  dumpRoutes,
  readLinkAddresses,
  readLinks,
  readRoutes,
} from './link-messages.ts';
import type { Netd } from './netd.ts';
import { NETLINK_ROUTE, NETLINK_XFRM, readNetlinkResult } from './netd-protocol.ts';
import { dumpEspPolicies, dumpEspStates, type FoundState, readEspPolicies, readEspStates } from './xfrm-messages.ts';

/** The helper, as far as it is asked here. */
export type Helper = Pick<Netd, 'run' | 'do'>;

export interface FoundEsp extends Pick<EspPlan, 'policies' | 'routes'> {
  readonly states: ReadonlyMap<string, FoundState>;
}

/** `interfaceId` names the link, and all that belongs to it. */
export async function lookAtEsp(
  helper: Helper,
  interfaceId: number,
  { index, namespacePath }: EspPlace,
): Promise<FoundEsp> {
  const states = readEspStates(await ask(helper, NETLINK_XFRM, '', dumpEspStates()));
  const policies = readEspPolicies(await ask(helper, NETLINK_XFRM, '', dumpEspPolicies()));
  const routes = readRoutes(await ask(helper, NETLINK_ROUTE, namespacePath, dumpRoutes()));
  const isOurs = (each: { readonly interfaceId: number }): boolean => each.interfaceId === interfaceId;
  const leadThere = routes.filter((route) => route.isMain && route.index === index);
  return {
    states: new Map(states.filter(isOurs).map((state) => [stateKey(state), state])),
    policies: new Map(policies.filter(isOurs).map((policy) => [policyKey(policy), policy])),
    routes: new Set(leadThere.map(({ destination }) => destination.base)),
  };
}

/** As the plan before, to come from to the next. */
export const asPlan = (found: FoundEsp): EspPlan => ({ ...found, ends: new Map(), refused: new Map() });

/** States that were made, and are not there or others. */
export function lostStates({ states }: EspPlan, found: FoundEsp, made: ReadonlySet<string>): string[] {
  return [...states].flatMap(([key, wanted]) => {
    const there = found.states.get(key);
    const isIt = there && there.source === wanted.source && isKey(there.key, wanted.key);
    return isIt || (!there && !made.has(key)) ? [] : [key];
  });
}

/** A kernel that is locked down shows zeros. */
const isKey = (shown: Uint8Array, wanted: Uint8Array): boolean =>
  Buffer.compare(shown, wanted) === 0 || (shown.length > 0 && shown.every((byte) => byte === 0));

/** A part of a sentence for each kind of thing that is not as it should be. */
export function espDifferences(wanted: EspPlan, found: FoundEsp): string[] {
  const wrong = [...wanted.policies].filter(([key, policy]) => {
    const there = found.policies.get(key);
    return !there || policyText(there) !== policyText(policy);
  });
  return [
    ...words('states', missing(wanted.states, found.states), missing(found.states, wanted.states)),
    ...words('policies', wrong.length, missing(found.policies, wanted.policies)),
    ...words('routes', missing(wanted.routes, found.routes), missing(found.routes, wanted.routes)),
  ];
}

type Keyed = { keys(): Iterable<string | number>; has(key: never): boolean };
const missing = (of: Keyed, there: Keyed): number => [...of.keys()].filter((key) => !there.has(key as never)).length;

const words = (what: string, lacks: number, extra: number): string[] =>
  lacks + extra > 0 ? [`lacked ${lacks} ${what} of ESP and had ${extra} too many`] : [];

/** The link as it is where the packets are, and whether it has its address. */
export async function lookAtLink(
  helper: Helper,
  { index, namespacePath }: EspPlace,
  address: number,
): Promise<{ readonly link: Link | undefined; readonly hasAddress: boolean }> {
  const links = readLinks(await ask(helper, NETLINK_ROUTE, namespacePath, dumpLinks()));
  const addresses = readLinkAddresses(await ask(helper, NETLINK_ROUTE, namespacePath, dumpAddresses()));
  return {
    link: links.find((link) => link.index === index),
    hasAddress: addresses.some((each) => each.index === index && each.address === address),
  };
}

/** A link of ours that was not moved to where the packets are: whoever made it died in between. */
export async function isLinkAtHome(helper: Helper, { index }: EspPlace, interfaceId: number): Promise<boolean> {
  const links = readLinks(await ask(helper, NETLINK_ROUTE, '', dumpLinks()));
  return links.some((link) => link.index === index && link.name === espLinkName(interfaceId));
}

export async function ask(helper: Helper, family: number, where: string, messages: Uint8Array): Promise<Buffer> {
  const [result] = await helper.do('looking at what the kernel encrypts', [{ do: 'netlink', family, where, messages }]);
  return result ? readNetlinkResult(result.bytes).messages : Buffer.alloc(0);
}
