// The keys of encrypted networks: made by the leader, changed every period, forgotten with their network. When somebody
// leaves who knew them (control/keyrings.ts), the ring turns quickly until nothing of what was known is in it.
// A ring has the key before, the one that is sent under, and the one that comes next, so that nodes which hear of a change
// a whole period apart still understand each other. The ring is in the store alone, which is sealed on disk, and travels
// to the nodes of its network and nowhere else.
import type { Loop } from '../base/clock.ts';
import { DirtySet } from '../base/dirty-set.ts';
import { codeOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { together } from '../base/together.ts';
import { isEncrypted, keyPeriodMs } from '../proto/network-plan.ts';
import type { Keyring, KeyringId, Network, NetworkId } from '../proto/objects.ts';
import { gapMs } from './control/keyrings.ts';
import type { Draft, Store, Transaction, View } from './store/contract.ts';

const RETRY_MS = 200;
/** Of a key on the wire. */
const ID_END = 2 ** 24;

export interface NetworkKeysOptions extends Loop {
  readonly random: Random;
  readonly log: Log;
}

/** Runs until aborted. */
export async function runNetworkKeys(store: Store, options: NetworkKeysOptions): Promise<void> {
  using dirty = new DirtySet<NetworkId>(options.clock);
  await together(options.abort, [
    (abort) => follow(store, dirty, abort),
    (abort) => turnAll(store, dirty, { ...options, abort }),
  ]);
}

async function follow(store: Store, dirty: DirtySet<NetworkId>, abort: AbortSignal): Promise<void> {
  const { view, changes } = store.viewAndWatch(['network', 'keyring'], { abort });
  markAll(view, dirty);
  for await (const change of changes) {
    if (change.kind === 'resync') markAll(store.view(), dirty);
    else if (change.kind === 'network' && isEncrypted(change.object.spec)) dirty.add(change.object.id);
    else if (change.kind === 'keyring' && change.action !== 'remove') {
      dirty.addAt(networkOf(change.object), change.object.turnAtMs);
    }
  }
}

function markAll(view: View, dirty: DirtySet<NetworkId>): void {
  for (const { id, spec } of view.networks.all()) if (isEncrypted(spec)) dirty.add(id);
  for (const ring of view.keyrings.all()) dirty.addAt(networkOf(ring), ring.turnAtMs);
}

async function turnAll(store: Store, dirty: DirtySet<NetworkId>, options: NetworkKeysOptions): Promise<void> {
  const { abort, clock, random, log } = options;
  for (;;) {
    for (const id of await dirty.take(abort)) {
      const secret = Buffer.from(random.bytes(64)); // `update` may run again, and must say the same again
      try {
        await store.update((tx) => turn(tx, id, secret, clock.nowMs()), { abort });
      } catch (error) {
        if (abort.aborted) throw error;
        log.warn('the keys of a network were not changed', { networkId: id, code: codeOf(error), error });
        dirty.addAt(id, clock.nowMs() + RETRY_MS);
      }
    }
  }
}

function turn(tx: Transaction, id: NetworkId, secret: Buffer, nowMs: number): void {
  const network = tx.networks.get(id);
  const ring = tx.keyrings.get(id);
  if (!network || !isEncrypted(network.spec)) {
    if (ring) tx.keyrings.remove(ring.id);
  } else if (!ring) tx.keyrings.put(firstRing(network, secret, nowMs));
  else if (ring.turnAtMs <= nowMs) tx.keyrings.put(nextRing(ring, network, secret, nowMs));
}

export function firstRing({ id, spec }: Pick<Network, 'id' | 'spec'>, secret: Buffer, nowMs: number): Draft<Keyring> {
  const keys = [secret.subarray(0, 32), secret.subarray(32, 64)].map((bytes, at) => ({
    id: at + 1,
    secret: bytes.toString('hex'),
  }));
  return { id: id as string as KeyringId, keys, sendId: 1, turnAtMs: nowMs + keyPeriodMs(spec.options) };
}

/** The next key is sent under from now on, the one of now is still understood, the one before is forgotten. */
export function nextRing(
  { id, keys, sendId, hurriedTurns = 0 }: Pick<Keyring, 'id' | 'keys' | 'sendId' | 'hurriedTurns'>,
  { spec }: Pick<Network, 'spec'>,
  secret: Buffer,
  nowMs: number,
): Draft<Keyring> {
  const at = keys.findIndex((key) => key.id === sendId);
  const [now, next] = [keys[at], keys[at + 1]];
  const fresh = { id: ((keys.at(-1)?.id ?? 0) + 1) % ID_END, secret: secret.subarray(0, 32).toString('hex') };
  const kept = [now, next].flatMap((key) => key ?? []);
  const periodMs = keyPeriodMs(spec.options);
  const left = hurriedTurns - 1;
  return {
    id,
    keys: [...kept, fresh],
    sendId: (next ?? fresh).id,
    turnAtMs: nowMs + (left > 0 ? gapMs(periodMs) : periodMs),
    ...(left > 0 && { hurriedTurns: left }),
  };
}

const networkOf = ({ id }: Pick<Keyring, 'id'>): NetworkId => id as string as NetworkId;
