// Containers that no service owns, on networks of the cluster: what a node's agent says of all of them is made true, and
// the answer waits until each has an address from the allocator, or a reason why not.
import { equalData } from '../../base/equal.ts';
import { codeOf, type ErrorCode, fail, sentenceOf } from '../../base/errors.ts';
import { newId } from '../../base/id.ts';
import type { GuestPlace, GuestRequest } from '../../proto/control.ts';
import type { Guest, GuestId, Network, Node } from '../../proto/objects.ts';
import type { Draft, Store, Transaction, View } from '../store/contract.ts';
import type { Handlers, HandlerDeps } from './handlers.ts';
import { findNetwork } from './references.ts';

const GUESTS_OF_NODE_MAX = 1_000;
const ADDRESSES_WITHIN_MS = 1_200;

export function guestHandlers({ store, random, clock, turns }: HandlerDeps): Pick<Handlers, 'SetGuests'> {
  return {
    SetGuests: async ({ node, session, guests }, { abort }) => {
      if (guests.length > GUESTS_OF_NODE_MAX) {
        fail('exhausted', `a node has at most ${GUESTS_OF_NODE_MAX} containers of its own on networks of the swarm`);
      }
      const newIds = guests.map(() => newId<'guest'>(random));
      // As with services: a network that is just being removed must not get somebody new.
      const placed = await turns.run(
        () => store.update((tx) => setGuests(tx, nodeOf(tx, node, session), guests, newIds), { abort }),
        abort,
      );
      const ids = placed.flatMap((each) => ('id' in each ? [each.id] : []));
      using late = clock.deadline(abort ?? new AbortController().signal, ADDRESSES_WITHIN_MS);
      await answered(store, ids, late.signal);
      if (abort?.aborted) fail('aborted', 'the caller went away');
      const view = store.view();
      return { places: guests.map((guest, at) => placeOf(view, guest, placed[at])) };
    },
  };
}

type Placed =
  | { readonly id: GuestId }
  | { readonly networkId: Network['id'] } // it was only asked for
  | { readonly refusal: NonNullable<GuestPlace['refusal']> };

/** A list of an earlier session, or of a node that was removed, counts for nothing. */
function nodeOf(view: View, id: string, session: string): Node {
  const node = view.nodes.get(id) ?? fail('not-found', `node ${id} not found`);
  if (node.sessionId !== session) fail('forbidden', `node ${id} is represented by another session`);
  return node;
}

function setGuests(
  tx: Transaction,
  node: Node,
  requests: readonly GuestRequest[],
  newIds: readonly GuestId[],
): readonly Placed[] {
  const before = [...tx.guests.all()].filter(({ nodeId }) => nodeId === node.id);
  const wanted = requests.map((request, at) => wantedGuest(tx, node, request, before, newIds[at]));
  const kept = new Set(wanted.flatMap((each) => ('guest' in each ? [each.guest.id] : [])));
  for (const { id } of before) if (!kept.has(id)) tx.guests.remove(id);
  return wanted.map((each) => {
    if ('refusal' in each || 'networkId' in each) return each;
    if (!each.isKnown) tx.guests.put(each.guest);
    return { id: each.guest.id };
  });
}

type Wanted = { readonly guest: Draft<Guest>; readonly isKnown: boolean } | Exclude<Placed, { id: unknown }>;

function wantedGuest(
  view: View,
  node: Node,
  request: GuestRequest,
  before: readonly Guest[],
  newId: GuestId | undefined,
): Wanted {
  const { containerId, name, aliases, address } = request;
  try {
    const network = findNetwork(view, request.network);
    const known = before.find((each) => each.containerId === containerId && each.networkId === network.id);
    if (known?.address !== undefined && known.name === name && equalData(known.aliases, aliases)) {
      return { guest: known, isKnown: true };
    }
    refuseUnattachable(network);
    if (request.probe) return { networkId: network.id };
    const guest = {
      id: known?.id ?? newId ?? fail('internal', 'a guest without an id'),
      nodeId: node.id,
      networkId: network.id,
      containerId,
      name,
      aliases,
      ...(address !== '' && { asked: address }),
      ...(known?.address !== undefined && { address: known.address }),
    };
    return { guest, isKnown: false };
  } catch (error) {
    return { refusal: { code: codeOf(error), reason: sentenceOf(error) } };
  }
}

function refuseUnattachable({ spec }: Network): void {
  if (spec.attachable) return;
  fail(
    'forbidden',
    `Could not attach to network ${spec.name}: rpc error: code = PermissionDenied desc = network ${spec.name} not manually attachable`,
  );
}

/** Resolves when the allocator has spoken of all of them, or with the abort. */
async function answered(store: Store, ids: readonly GuestId[], abort: AbortSignal): Promise<void> {
  const isOpen = (view: View): boolean =>
    ids.some((id) => {
      const guest = view.guests.get(id);
      return guest !== undefined && guest.address === undefined && guest.error === undefined;
    });
  if (!isOpen(store.view())) return;
  try {
    const { view, changes } = store.viewAndWatch(['guest'], { abort });
    if (!isOpen(view)) return;
    for await (const _change of changes) if (!isOpen(store.view())) return;
  } catch (error) {
    if (!abort.aborted) throw error;
  }
}

function placeOf(view: View, { containerId, network }: GuestRequest, placed: Placed | undefined): GuestPlace {
  const none = (networkId: string, code: ErrorCode, reason: string): GuestPlace => ({
    containerId,
    network,
    networkId,
    address: '',
    refusal: { code, reason },
  });
  if (!placed) return none('', 'internal', 'nothing was decided');
  if ('refusal' in placed) return { containerId, network, networkId: '', address: '', refusal: placed.refusal };
  if ('networkId' in placed) return { containerId, network, networkId: placed.networkId, address: '' };
  const guest = view.guests.get(placed.id);
  if (!guest) return none('', 'unavailable', 'its place was given up meanwhile');
  const { networkId, address, error } = guest;
  if (address !== undefined) return { containerId, network, networkId, address };
  if (error !== undefined) return none(networkId, 'exhausted', error);
  return none(networkId, 'unavailable', 'the managers have not given it an address yet');
}
