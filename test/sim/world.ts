// The simulated world: nodes, the network between them and their clients, one queue of events, one seed. What happens is
// decided in chaos.ts, what must hold in oracle.ts.
import type { CodedError } from '../../base/errors.ts';
import { type Random, seededRandom } from '../../base/random.ts';
import { hasMajority } from '../../manager/raft/core/quorum.ts';
import { quorumsOf } from '../../manager/raft/core/membership.ts';
import type { Message } from '../../manager/raft/core/types.ts';
import { Events } from './events.ts';
import type { Modules } from './modules.ts';
import { Oracle, Violation } from './oracle.ts';
import { SimNetwork, sizeOf } from './sim-network.ts';
import { LIMITS, SimNode } from './sim-node.ts';
import type { StoreClients } from './store-clients.ts';
import { drawWeather, FAIR, type Hazard, type Weather } from './weather.ts';

export class World {
  readonly events = new Events();
  readonly oracle = new Oracle(LIMITS.promotionLagMax, (id) => this.nodes.get(id)?.raft?.log.lastIndex);
  readonly modules: Modules;
  readonly nodes = new Map<string, SimNode>();
  readonly network: SimNetwork;
  /** How often what was met. */
  readonly met = new Map<string, number>();
  weather: Weather;
  readonly #seed: number;
  readonly trace: string[] = [];
  readonly #proposed = new Map<number, string>();
  readonly #readStarts = new Map<number, number>();
  readonly #waiting = new Map<number, { resolve: (index: number) => void; reject: (error: CodedError) => void }>();
  /** With these the state machine is the real store, and clients run transactions. */
  storeClients: StoreClients | undefined;
  #spoilt = new Set<string>();
  #failure: unknown;
  #nextId = 1;

  constructor(seed: number, modules: Modules, fairIn: readonly Hazard[] = []) {
    this.#seed = seed;
    this.modules = modules;
    const calm = Object.fromEntries(fairIn.map((hazard) => [hazard, FAIR[hazard]]));
    this.weather = { ...drawWeather(this.random('weather')), ...calm };
    this.network = new SimNetwork({
      events: this.events,
      random: this.random('network'),
      weather: () => this.weather,
      count: (what) => this.count(what),
    });
  }

  /** A stream of its own for each purpose, so that one more draw here does not change everything there. */
  random(purpose: string): Random {
    let hash = this.#seed;
    for (const character of purpose) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
    return seededRandom(hash);
  }

  count(what: string): void {
    this.met.set(what, (this.met.get(what) ?? 0) + 1);
  }

  note(text: string): void {
    this.trace.push(`${this.events.nowMs.toFixed(1)} ${text}`);
    if (this.trace.length > 400) this.trace.splice(0, 200);
  }

  /** Something went wrong in work that nobody waits for. */
  fail(error: unknown): void {
    this.#failure ??= error;
  }

  node(id: string): SimNode {
    const known = this.nodes.get(id);
    if (known) return known;
    const node = new SimNode(this, id);
    this.nodes.set(id, node);
    return node;
  }

  alive(): SimNode[] {
    return [...this.nodes.values()].filter((node) => node.member !== undefined);
  }

  leader(): SimNode | undefined {
    let found: SimNode | undefined;
    for (const node of this.nodes.values()) {
      if (node.raft?.role === 'leader' && node.raft.term > (found?.raft?.term ?? 0)) found = node;
    }
    return found;
  }

  /** One event, everything that follows from it at once, and the judgement. */
  async step(): Promise<boolean> {
    if (!this.events.step()) return false;
    await new Promise<void>((resolve) => void setImmediate(resolve));
    if (this.#failure !== undefined) throw this.#failure;
    for (const node of this.nodes.values()) node.judge();
    return true;
  }

  // ---- Disks that are gone ----

  /** Its disk was wiped or damaged, so it may, and must, refuse to start. */
  spoil(id: string): void {
    this.#spoilt.add(id);
  }

  isSpoilt(id: string): boolean {
    return this.#spoilt.has(id);
  }

  get spoilt(): readonly string[] {
    return [...this.#spoilt];
  }

  /** Whether the rest can decide without these, by every membership that anybody goes by or will go by. */
  canSpare(ids: readonly string[]): boolean {
    const remains = (id: string): boolean => !ids.includes(id) && !this.#spoilt.has(id);
    return [...this.nodes.values()].every(
      (node) =>
        node.isLost ||
        node.memberships().every((one) => one.members.length === 0 || hasMajority(quorumsOf(one), remains)),
    );
  }

  // ---- Clients ----

  propose(node: SimNode): void {
    if (this.storeClients) return this.storeClients.increment(node);
    const id = this.#nextId++;
    const text = `op${id}${'.'.repeat(id % 97)}`;
    this.#proposed.set(id, text);
    node.asClient(() => node.member?.propose([{ id, bytes: Buffer.from(text) }]));
  }

  /** For a store: resolves with the index once applied there. */
  proposeBytes(node: SimNode, bytes: Uint8Array): Promise<number> {
    const id = this.#nextId++;
    this.#proposed.set(id, node.machine.nameOf(bytes));
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      node.asClient(() => node.member?.propose([{ id, bytes }]));
    });
  }

  read(node: SimNode): void {
    const id = this.#nextId++;
    this.#readStarts.set(id, this.oracle.ackedMax);
    node.asClient(() => node.member?.read([id]));
  }

  answered(id: number, text: string, index: number): void {
    this.#waiting.get(id)?.resolve(index);
    this.#waiting.delete(id);
    const asked = this.#proposed.get(id);
    if (asked !== text) throw new Violation('answers belong to their requests', `'${asked}' is answered by '${text}'`);
    this.oracle.acknowledged(text, index);
    this.count('acknowledged');
  }

  readAnswered(id: number, index: number): void {
    this.oracle.readAnswered(index, this.#readStarts.get(id) ?? 0);
    this.#readStarts.delete(id);
    this.count('read');
  }

  refused(ids: readonly number[], why: string, error: () => CodedError): void {
    for (const id of ids) {
      this.#readStarts.delete(id);
      this.#waiting.get(id)?.reject(error());
      this.#waiting.delete(id);
    }
    this.count(`failed: ${why}`);
  }

  // ---- Messages ----

  send(messages: readonly Message[], from: SimNode): void {
    const { claim } = from;
    for (const message of messages) {
      this.oracle.sent(message);
      from.vouches(message);
      if (message.type === 'append-response' && message.rejected) this.count('append rejected');
      if (message.type === 'snapshot') void from.sendSnapshot(message);
      else {
        this.network.transmit(message.from, message.to, sizeOf(message), () =>
          this.node(message.to).receive(message, claim),
        );
      }
    }
  }
}
