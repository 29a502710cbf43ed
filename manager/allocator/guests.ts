// The allocator's part for containers that no service owns: each gets an address, or is told why not.
import type { Loop } from '../../base/clock.ts';
import { DirtySet } from '../../base/dirty-set.ts';
import { codeOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { together } from '../../base/together.ts';
import type { Guest, GuestId } from '../../proto/objects.ts';
import type { Store, Transaction } from '../store/contract.ts';
import type { AddressBook, AddressPages } from './addresses.ts';

const RETRY_MS = 100;
/** Placed in one transaction. */
const ROOM = 500;

const isWaiting = ({ address, error }: Guest): boolean => address === undefined && error === undefined;

/** Runs until aborted. */
export async function allocateGuests(store: Store, book: AddressBook, options: Loop & { log: Log }): Promise<void> {
  using dirty = new DirtySet<GuestId>(options.clock);
  await together(options.abort, [
    (abort) => follow(store, dirty, abort),
    (abort) => allocate(store, dirty, book, { ...options, abort }),
  ]);
}

async function follow(store: Store, dirty: DirtySet<GuestId>, abort: AbortSignal): Promise<void> {
  const { view, changes } = store.viewAndWatch(['guest'], { abort });
  const markAll = (): void => {
    for (const guest of store.view().guests.all()) if (isWaiting(guest)) dirty.add(guest.id);
  };
  if (view.guests.size > 0) markAll();
  for await (const change of changes) {
    if (change.kind === 'resync') markAll();
    else if (change.kind === 'guest' && change.action !== 'remove' && isWaiting(change.object)) {
      dirty.add(change.object.id);
    }
  }
}

async function allocate(
  store: Store,
  dirty: DirtySet<GuestId>,
  book: AddressBook,
  { abort, clock, log }: Loop & { log: Log },
): Promise<void> {
  for (;;) {
    const ids = await dirty.take(abort);
    const [turn, rest] = [ids.slice(0, ROOM), ids.slice(ROOM)];
    for (const id of rest) dirty.add(id);
    try {
      const nowMs = clock.nowMs();
      const pages = await store.update((tx) => placeAll(tx, turn, book.open(tx, nowMs)), { abort });
      book.keep(pages);
    } catch (error) {
      if (abort.aborted) throw error;
      log.warn('no guest could be given an address', { error, guests: turn.length, code: codeOf(error) });
      for (const id of turn) dirty.addAt(id, clock.nowMs() + RETRY_MS);
    }
  }
}

function placeAll(tx: Transaction, ids: readonly GuestId[], pages: AddressPages): AddressPages {
  for (const id of ids) {
    const guest = tx.guests.get(id);
    if (!guest || !isWaiting(guest)) continue;
    const address = addressFor(guest, pages);
    tx.guests.put(address === undefined ? { ...guest, error: pages.refusal } : { ...guest, address });
  }
  return pages;
}

function addressFor({ networkId, asked }: Guest, pages: AddressPages): string | undefined {
  if (asked === undefined) return pages.take([networkId])?.[0]?.address;
  return pages.claim(networkId, asked) ? asked : undefined;
}
