// Which back end a client gets where a service keeps its clients: the kernel hashes the client's address to a slot, and each
// slot has a back end. Pure.
// Invariant: a slot's back end follows from the addresses of the back ends alone, so every node says the same, and a back
// end that leaves or comes moves no clients but its own (rendezvous hashing).
const SLOTS_MIN = 256;
const SLOTS_MAX = 4096;
/** So many for each back end that their shares are alike. */
const SLOTS_EACH = 16;

export function slotCount(backEnds: number): number {
  let slots = SLOTS_MIN;
  while (slots < SLOTS_EACH * backEnds && slots < SLOTS_MAX) slots *= 2;
  return slots;
}

/** For each slot, which of the back ends, which are sorted and at least one. */
export function fillSlots(addresses: readonly number[]): number[] {
  const slots = slotCount(addresses.length);
  // Twice as many slots are the halves of those before, and the first half of each keeps its back end.
  const step = SLOTS_MAX / slots;
  const backEnds = addresses.map(mix);
  return Array.from({ length: slots }, (_, slot) => winner(backEnds, mix(slot * step + 1)));
}

/** The first of those that weigh most; plain loops, as this runs four million times for a thousand back ends. */
function winner(backEnds: readonly number[], slot: number): number {
  let best = 0;
  let most = -1;
  for (let index = 0; index < backEnds.length; index += 1) {
    const weight = mix((backEnds[index] ?? 0) ^ slot);
    if (weight <= most) continue;
    best = index;
    most = weight;
  }
  return best;
}

/** MurmurHash3's finalizer: every bit of the answer depends on every bit of the number. */
function mix(number: number): number {
  let value = Math.imul(number ^ (number >>> 16), 0x85eb_ca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2_ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
