// Where services' published ports lead on this node: from the manager's map to rules. The map is replaced whole, by
// raft index; it outlives the daemon in a file beside the namespaces, so that a restart changes nothing for clients.
import { readFile } from 'node:fs/promises';
import { writeFileAtomic } from '../../base/files.ts';
import { errnoOf } from '../../base/errors.ts';
import type { Background } from '../../base/background.ts';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { asArray, asInteger, asObject, asOneOf, asString, optional, parseJson } from '../../base/parse.ts';
import { type Ip, parseAddress, parseAddress6 } from './addresses.ts';
import type { IngressPort } from './contract.ts';
import type { Firewall } from './firewall.ts';
import type { Forgetter } from './forgetter.ts';
import type { ConnectionFilter } from './netd-protocol.ts';
import type { HeldPort, Ports } from './ports.ts';
import { type Ways, wayNodes } from './ways.ts';
import {
  type IngressRule,
  ingressKey,
  type IngressRules,
  type RemoteRules,
  type RemoteTarget,
  remoteTargets,
} from './ruleset-ingress.ts';
import type { WayNode } from './way-messages.ts';

const REMOTE_LINGER_MS = 10_000;

export interface IngressParts {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly firewall: Firewall;
  readonly forgetter: Forgetter;
  readonly ways: Pick<Ways, 'know' | 'answers' | 'sixOf'>;
  /** Tasks have IPv6 addresses here. */
  readonly hasSix: () => boolean;
  readonly ports: Ports;
  readonly background: Background;
  readonly log: Log;
  readonly path: string;
}

export class IngressMap {
  readonly #parts: IngressParts;
  readonly #remote: RemoteTargets;
  #index = -1;
  #ports: readonly IngressPort[] = [];
  #held = new Map<string, HeldPort>();
  #recording = false;

  constructor(parts: IngressParts) {
    this.#parts = parts;
    this.#remote = new RemoteTargets(parts.clock);
  }

  get ports(): readonly IngressPort[] {
    return this.#ports;
  }

  /** Prepares what the last daemon applied; the kernel, which has it already, gets it with the first rules. */
  async restore(): Promise<void> {
    this.#ports = await loadIngress(this.#parts.path);
    const rules = this.#rules();
    this.#parts.firewall.prepare((wanted) => ({ ...wanted, ...rules, remote: this.#remote.next(rules.ingress) }));
    await this.#holdNow(this.#ports);
  }

  /** Replaces the map, unless a later one is here already. Resolves when the kernel has this one or a later one. */
  async apply(index: number, ports: readonly IngressPort[]): Promise<void> {
    if (index < this.#index) return await this.#parts.firewall.sync();
    this.#index = index;
    this.#ports = ports;
    // Nobody is sent to where there is no way.
    await this.#parts.ways.know(wayNodes(ports));
    const before = this.#parts.firewall.wanted;
    await this.refresh();
    const after = this.#parts.firewall.wanted;
    await this.#parts.forgetter.forget([
      ...staleDatagrams(before.ingress, after.ingress),
      ...staleDatagrams(before.ingress6, after.ingress6, 6),
    ]);
    this.#record();
  }

  /** Brings the kernel to the latest map and to what is known of the nodes in it. */
  async refresh(): Promise<void> {
    const rules = this.#rules();
    const remote = this.#remote.next(rules.ingress);
    await this.#parts.firewall.set((wanted) => ({ ...wanted, ...rules, remote }));
  }

  #rules(): { readonly ingress: IngressRules; readonly ingress6: IngressRules<bigint> } {
    const { ways, hasSix } = this.#parts;
    return {
      ingress: ingressRules(this.#ports, (address) => ways.answers(address)),
      ingress6: hasSix() ? ingressRules6(this.#ports, (node) => ways.sixOf(node)) : new Map(),
    };
  }

  async clear(): Promise<void> {
    await this.apply(Number.MAX_SAFE_INTEGER, []);
    this.#index = -1;
  }

  /** Holds the ports and writes the file, behind whoever waits for the rules; the latest map when several came. */
  #record(): void {
    if (this.#recording) return;
    this.#recording = true;
    this.#parts.background.run('record-ingress', async () => {
      try {
        let recorded: readonly IngressPort[] | undefined;
        while (recorded !== this.#ports) {
          recorded = this.#ports;
          await this.#holdNow(recorded);
          await saveIngress(this.#parts.path, recorded);
        }
      } finally {
        this.#recording = false;
      }
    });
  }

  async #holdNow(ports: readonly IngressPort[]): Promise<void> {
    const wanted = new Map(ports.map((port) => [`${port.protocol}/${port.publishedPort}`, port]));
    for (const [key, held] of this.#held) {
      if (wanted.has(key)) continue;
      this.#held.delete(key);
      await this.#parts.ports.release([held]);
    }
    for (const [key, { protocol, publishedPort }] of wanted) {
      if (this.#held.has(key)) continue;
      const held = await this.#parts.ports.tryHold(protocol, publishedPort, { six: this.#parts.hasSix() });
      if (held) this.#held.set(key, held);
      else this.#parts.log.debug('a service port is also in use on this machine', { protocol, port: publishedPort });
    }
  }
}

/**
 * The targets on other nodes, and those that were until a moment ago: a packet that an old rule has just sent there
 * must still find that it has to be masqueraded.
 */
export class RemoteTargets {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #known = new Map<string, { readonly target: RemoteTarget; readonly untilMs: number }>();

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  next(ingress: IngressRules): RemoteRules {
    const nowMs = this.#clock.monotonicMs();
    const current = remoteTargets(ingress);
    const recent = [...this.#known].filter(([, { untilMs }]) => untilMs > nowMs);
    this.#known = new Map(recent);
    for (const [key, target] of current) this.#known.set(key, { target, untilMs: nowMs + REMOTE_LINGER_MS });
    return new Map([...this.#known].map(([key, { target }]) => [key, target]));
  }
}

/**
 * Own tasks first; other nodes only when there is none here. Sorted, so that order alone is no change. Connections keep
 * their client's address on the way to nodes that take such and that answer.
 */
export function ingressRules(
  ports: readonly IngressPort[],
  answers: (address: number) => boolean = () => true,
): Map<string, IngressRule> {
  const rules = ports.map(({ protocol, publishedPort, local, remote, affinity }): IngressRule => {
    const useRemote = local.length === 0;
    const isKept = (target: object, address: number): boolean =>
      protocol === 'tcp' && 'wayPort' in target && answers(address);
    const targets = (useRemote ? remote : local)
      .map((target) => {
        const address = parseAddress(target.address);
        return { address, port: target.port, ...(isKept(target, address) && { kept: true }) };
      })
      .sort((a, b) => a.address - b.address || a.port - b.port);
    return { protocol, port: publishedPort, targets, remote: useRemote, ...(affinity && { byClient: true }) };
  });
  return new Map(rules.map((rule) => [ingressKey(rule), rule]));
}

/**
 * The same for clients that come by IPv6: to tasks by their own addresses of it, to other nodes by theirs on the link
 * between nodes. A node that is not reached there has none: `sixOf` says so.
 */
export function ingressRules6(
  ports: readonly IngressPort[],
  sixOf: (node: WayNode) => bigint | undefined,
): Map<string, IngressRule<bigint>> {
  const rules = ports.map(({ protocol, publishedPort, local, remote, affinity }): IngressRule<bigint> => {
    const here = local.flatMap(({ address6, port }) =>
      address6 === undefined ? [] : [{ address: parseAddress6(address6), port }],
    );
    const there = remote.flatMap(({ address, port, wayPort }) => {
      const six = wayPort === undefined ? undefined : sixOf({ address: parseAddress(address), port: wayPort });
      return six === undefined ? [] : [{ address: six, port }];
    });
    const targets = (here.length > 0 ? here : there).sort((a, b) =>
      a.address === b.address ? a.port - b.port : a.address < b.address ? -1 : 1,
    );
    const remoteOnly = here.length === 0;
    return { protocol, port: publishedPort, targets, remote: remoteOnly, ...(affinity && { byClient: true }) };
  });
  return new Map(rules.map((rule) => [ingressKey(rule), rule]));
}

/**
 * Datagrams of one client follow the connection that the kernel remembers, whatever the rules say now: it must forget
 * those that led to a target that left. TCP connections may finish.
 */
export function staleDatagrams(from: IngressRules<Ip>, to: IngressRules<Ip>, family?: 6): ConnectionFilter[] {
  const filters: ConnectionFilter[] = [];
  const toAnybody = (askedPort: number): ConnectionFilter => ({
    protocol: 'udp',
    askedPort,
    ...(family && { family }),
  });
  for (const [key, old] of from) {
    if (old.protocol !== 'udp') continue;
    const kept = new Set(to.get(key)?.targets.map((target) => `${target.address}:${target.port}`));
    for (const target of old.targets) {
      if (kept.has(`${target.address}:${target.port}`)) continue;
      const { address: serverAddress, port: serverPort } = target;
      filters.push({ protocol: 'udp', askedPort: old.port, serverAddress, serverPort });
    }
    // Before there was a target, datagrams went nowhere, and are remembered to go there.
    if (old.targets.length === 0 && kept.size > 0) filters.push(toAnybody(old.port));
  }
  for (const [key, rule] of to) {
    if (rule.protocol === 'udp' && !from.has(key)) filters.push(toAnybody(rule.port));
  }
  return filters;
}

export async function saveIngress(path: string, ports: readonly IngressPort[]): Promise<void> {
  await writeFileAtomic(path, JSON.stringify({ format: 1, ports }));
}

/** What the last daemon applied; nothing when there is no file. */
export async function loadIngress(path: string): Promise<IngressPort[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
  return asArray(asObject(parseJson(text, path), path)['ports'], 'ports', parseIngressPort);
}

function parseIngressPort(value: unknown, path: string): IngressPort {
  const port = asObject(value, path);
  const affinity = optional(port['affinity'], `${path}.affinity`, (each, at) => asOneOf(each, at, ['client-address']));
  return {
    protocol: asOneOf(port['protocol'], `${path}.protocol`, ['tcp', 'udp']),
    publishedPort: parsePort(port['publishedPort'], `${path}.publishedPort`),
    local: asArray(port['local'], `${path}.local`, (entry, at) => ({
      ...parseTarget(entry, at),
      taskId: asString(asObject(entry, at)['taskId'], `${at}.taskId`),
      ...withAddress6(optional(asObject(entry, at)['address6'], `${at}.address6`, asString)),
    })),
    remote: asArray(port['remote'], `${path}.remote`, (entry, at) => {
      const wayPort = optional(asObject(entry, at)['wayPort'], `${at}.wayPort`, parsePort);
      return { ...parseTarget(entry, at), ...(wayPort !== undefined && { wayPort }) };
    }),
    ...(affinity && { affinity }),
  };
}

const withAddress6 = (address6: string | undefined): { readonly address6?: string } =>
  address6 === undefined ? {} : { address6 };

function parseTarget(value: unknown, path: string): { address: string; port: number } {
  const target = asObject(value, path);
  return { address: asString(target['address'], `${path}.address`), port: parsePort(target['port'], `${path}.port`) };
}

const parsePort = (value: unknown, path: string): number => asInteger(value, path, { min: 1, max: 65_535 });
