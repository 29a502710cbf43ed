// One history: five clients read and write four registers on three managers while two faults come and go; then everything
// is healed, every manager is read once more, and the checker judges.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../base/random.ts';
import { checkLinearizable, register } from '../support/linearizability.ts';
import { FAULTS, type Fault } from './faults.ts';
import type { HistoryLab } from './lab.ts';
import { type RegisterOperation, Registers, type Seen } from './registers.ts';

const CLIENTS = 5;
const KEYS = 4;
const NODES = 3;
export const OPERATIONS_MIN = 200;
const PAUSE_MAX_MS = 80;
const FAULT_MS = { first: 400, between: 900, lasts: 1_100 };
const HISTORY_MAX_MS = 30_000;
const HEALED_WITHIN_MS = 30_000;

export interface Outcome {
  readonly faults: readonly string[];
  readonly history: readonly RegisterOperation[];
  readonly unknown: number;
  /** Undefined: the history has an order. */
  readonly complaint: string | undefined;
  readonly tookMs: number;
}

export async function oneHistory(lab: HistoryLab, number: number, random: Random): Promise<Outcome> {
  const startMs = performance.now();
  const registers = new Registers(lab.sockets);
  for (let key = 0; key < KEYS; key += 1) await registers.create(`h${number}-${key}-${random.below(1_000_000_000)}`);
  const names: string[] = [];
  let calm = false;
  const over = (): boolean =>
    (calm && registers.history.length >= OPERATIONS_MIN) || performance.now() - startMs > HISTORY_MAX_MS;
  const clients = Array.from({ length: CLIENTS }, (_, client) => beClient(client, registers, random, over));
  await disturb(lab, registers, number, random, names);
  calm = true;
  await Promise.all(clients);
  await readEverywhere(registers);
  const judgement = checkLinearizable(registers.history, register(''));
  await registers.remove();
  const { history } = registers;
  const complaint = judgement.linearizable
    ? tooShort(history)
    : `${judgement.because} at ${JSON.stringify(judgement.stuckAt)} of ${judgement.key}`;
  const unknown = history.filter(({ output }) => output === undefined).length;
  return { faults: names, history, unknown, complaint, tookMs: performance.now() - startMs };
}

const tooShort = (history: readonly RegisterOperation[]): string | undefined =>
  history.length >= OPERATIONS_MIN ? undefined : `only ${history.length} operations`;

async function beClient(client: number, registers: Registers, random: Random, over: () => boolean): Promise<void> {
  const known = new Map<string, Seen>();
  for (let step = 0; !over(); step += 1) {
    const node = 1 + random.below(NODES);
    const key = registers.keys[random.below(KEYS)] ?? '';
    const seen = known.get(key);
    known.delete(key);
    if (seen && random.below(3) > 0) await registers.compareAndSet(client, node, key, seen, `c${client}s${step}`);
    else {
      const now = await registers.read(client, node, key);
      if (now) known.set(key, now);
    }
    await sleep(random.below(PAUSE_MAX_MS));
  }
}

/** Two faults, each on the leader or on any node, the second while the first may still be there; then both are undone. */
async function disturb(
  lab: HistoryLab,
  registers: Registers,
  number: number,
  random: Random,
  names: string[],
): Promise<void> {
  const kinds = [FAULTS[number % FAULTS.length], FAULTS[Math.floor(number / FAULTS.length) % FAULTS.length]];
  const begun: { fault: Fault; node: number }[] = [];
  await sleep(FAULT_MS.first);
  for (const fault of kinds) {
    const node = await victim(registers, random, begun);
    if (!fault || begun.some((other) => other.node === node)) continue;
    await fault.begin(lab, node, random);
    begun.push({ fault, node });
    names.push(`${fault.name} on node${node}`);
    await sleep(FAULT_MS.between);
  }
  await sleep(FAULT_MS.lasts - random.below(FAULT_MS.lasts / 2));
  for (const { fault, node } of begun) await fault.end(lab, node);
}

async function victim(registers: Registers, random: Random, begun: readonly { node: number }[]): Promise<number> {
  const leader = random.below(5) < 3 ? await registers.leader() : undefined;
  const free = [1, 2, 3].filter((node) => !begun.some((other) => other.node === node));
  return leader && free.includes(leader) ? leader : (free[random.below(free.length)] ?? 1);
}

/** What the cluster has in the end, as every manager tells it: part of the history. */
async function readEverywhere(registers: Registers): Promise<void> {
  const endMs = performance.now() + HEALED_WITHIN_MS;
  for (let node = 1; node <= NODES; node += 1) {
    for (const key of registers.keys) {
      while (!(await registers.read(CLIENTS, node, key))) {
        if (performance.now() > endMs) throw new Error(`node${node} answers no read after everything was healed`);
        await sleep(50);
      }
    }
  }
}
