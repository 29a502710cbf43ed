// A kernel behind netd, as far as encrypted networks ask it: links, addresses, routes and packet rules of namespaces, and
// IPsec (fake-xfrm.ts) or WireGuard (fake-wireguard-device.ts). It takes the bytes that netd would pass on and answers with those that netd would answer: failures
// by message, dumps from what is there. It can lack what a kernel may lack, refuse a message, and die between two.
import assert from 'node:assert/strict';
import { CodedError } from '../../base/errors.ts';
import { checkSteps } from '../../runtime/network/netd.ts';
import {
  NETLINK_GENERIC,
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  NETLINK_XFRM,
  type Step,
  type StepResult,
} from '../../runtime/network/netd-protocol.ts';
import { MessageWriter, readAttributes, readMessages, readText } from '../../runtime/network/netlink.ts';
import { FakeDevice } from './fake-wireguard-device.ts';
import { FakeXfrm } from './fake-xfrm.ts';

const [ENOENT, EEXIST, ENODEV, ENETUNREACH, EPROTONOSUPPORT] = [2, 17, 19, 101, 93];
const [EOPNOTSUPP, EADDRINUSE] = [95, 98];
/** What generic netlink calls itself, and what it calls WireGuard here. */
const [CONTROL, WIREGUARD] = [16, 0x22];

interface FakeLink {
  readonly name: string;
  readonly kind: string;
  up: boolean;
  mtu: number;
  readonly addresses: Set<number>;
  readonly routes: Set<number>;
  readonly device?: FakeDevice;
}

export class FakeNamespace {
  readonly links = new Map<number, FakeLink>();
  rules: Buffer[] = [];
  readonly settings = new Map<string, string>();
}

type Messages = { readonly type: number; readonly body: Buffer }[];

export class FakeKernel {
  readonly xfrm = new FakeXfrm();
  readonly namespaces = new Map([['', new FakeNamespace()]]);
  /** What came, in order, without what only looks. */
  said: { family: number; where: string; messages: Buffer }[] = [];
  /** Called before each message that changes something. */
  before: (family: number, type: number) => void = () => undefined;
  /** An errno for a message; 0: as it is. */
  refuse: (family: number, type: number) => number = () => 0;
  hasXfrm = true;
  hasWireguard = true;
  /** Where somebody else hears. */
  readonly takenPorts = new Set<number>();
  readonly #held = new Map<number, FakeNamespace>();
  #fds = 10;

  async run(steps: readonly Step[]): Promise<StepResult[]> {
    const results: StepResult[] = [];
    for (const step of steps) {
      await Promise.resolve();
      const result = this.#step(step);
      results.push(result);
      if (result.errno !== 0 && !step.mayFail) break;
    }
    return results;
  }

  async do(doing: string, steps: readonly Step[]): Promise<StepResult[]> {
    const results = await this.run(steps);
    checkSteps(doing, steps, results);
    return results;
  }

  at(path: string): FakeNamespace {
    return this.namespaces.get(path) ?? assert.fail(`no namespace ${path}`);
  }

  /** Links of WireGuard that hear, wherever they are. */
  get devices(): FakeDevice[] {
    const links = [...this.namespaces.values()].flatMap((namespace) => [...namespace.links.values()]);
    return links.flatMap(({ device, up }) => (device && up ? [device] : []));
  }

  /** From now on, after so many changes, netd is gone in the middle of what it does. */
  dieAfter(changes: number): void {
    let left = changes;
    this.before = () => {
      if (left === 0) throw new CodedError('unavailable', 'the network helper went away');
      left -= 1;
    };
  }

  #step(step: Step): StepResult {
    if (step.do === 'netlink') return this.#netlink(step.family, step.where, Buffer.from(step.messages));
    if (step.do === 'drop-namespace') {
      assert.ok(this.#held.delete(step.descriptor), 'it was held');
      return { errno: 0, bytes: Buffer.alloc(0) };
    }
    if (step.do === 'write-sysctl') {
      this.at(step.where).settings.set(step.name, step.value);
      return { errno: 0, bytes: Buffer.alloc(0) };
    }
    if (step.do !== 'hold-namespace') return assert.fail(`a step ${step.do}`);
    const namespace = this.namespaces.get(step.path);
    if (!namespace) return { errno: ENOENT, bytes: Buffer.from('open a namespace') };
    this.#held.set(++this.#fds, namespace);
    return { errno: 0, bytes: u32(this.#fds) };
  }

  #netlink(family: number, where: string, messages: Buffer): StepResult {
    const namespace = this.namespaces.get(where);
    if (!namespace) return { errno: ENOENT, bytes: Buffer.from(where) };
    if (family === NETLINK_XFRM && !this.hasXfrm) return { errno: EPROTONOSUPPORT, bytes: Buffer.from('netlink') };
    const failures: Buffer[] = [];
    const shown: Messages = [];
    for (const [index, { type, body }] of [...readMessages(messages)].entries()) {
      const dump = dumpOf(this, family, namespace, type, body);
      if (dump) {
        shown.push(...dump);
        continue;
      }
      if (isLook(family, type, body)) {
        failures.push(failure(index, ENOENT));
        continue;
      }
      this.before(family, type);
      const errno = this.refuse(family, type) || this.#take(family, where, namespace, type, body);
      if (errno !== 0) failures.push(failure(index, errno));
    }
    if (shown.length === 0 && !areLooks(family, messages)) this.said.push({ family, where, messages });
    return { errno: 0, bytes: Buffer.concat([u32(failures.length), ...failures, written(shown)]) };
  }

  #take(family: number, where: string, namespace: FakeNamespace, type: number, body: Buffer): number {
    if (family === NETLINK_XFRM) {
      assert.equal(where, '', 'states and policies are the node’s');
      return this.xfrm.answer(type, body);
    }
    if (family === NETLINK_GENERIC) return this.#setDevice(namespace, type, body);
    if (family === NETLINK_NETFILTER) return takeRule(namespace, type, body);
    assert.equal(family, NETLINK_ROUTE);
    return this.#route(where, namespace, type, body);
  }

  #addLink(where: string, namespace: FakeNamespace, index: number, body: Buffer): number {
    const kind = readText(readAttributes(readAttributes(body.subarray(16)).get(18) ?? Buffer.alloc(0)).get(1));
    if (kind !== 'wireguard') return addLink(namespace, index, body);
    assert.equal(where, '', 'it hears in the namespace that it is made in');
    return this.hasWireguard ? addLink(namespace, index, body) : EOPNOTSUPP;
  }

  #setDevice({ links }: FakeNamespace, type: number, body: Buffer): number {
    assert.deepEqual([type, body.readUInt8(0)], [WIREGUARD, 1]);
    const attributes = readAttributes(body.subarray(4));
    const link = [...links.values()].find(({ name }) => name === readText(attributes.get(2)));
    return link?.device?.set(attributes) ?? ENODEV;
  }

  #route(where: string, namespace: FakeNamespace, type: number, body: Buffer): number {
    const index = body.length >= 8 ? body.readInt32LE(4) : 0;
    if (type === 16) return this.#addLink(where, namespace, index, body);
    if (type === 19) return this.#change(namespace, index, body);
    if (type === 17) return namespace.links.delete(index) ? 0 : ENODEV;
    if (type === 20) {
      const address = readAttributes(body.subarray(8)).get(2)?.readUInt32BE(0) ?? 0;
      const link = namespace.links.get(index);
      if (!link) return ENODEV;
      if (link.addresses.has(address)) return EEXIST;
      link.addresses.add(address);
      return 0;
    }
    assert.ok(type === 24 || type === 25, `a message of type ${type}`);
    const attributes = readAttributes(body.subarray(12));
    const link = namespace.links.get(attributes.get(4)?.readUInt32LE(0) ?? 0);
    const to = attributes.get(1)?.readUInt32BE(0) ?? 0;
    if (type === 25) return link?.routes.delete(to) ? 0 : 3;
    if (!link?.up) return ENETUNREACH;
    for (const other of namespace.links.values()) other.routes.delete(to); // there is one to each place
    link.routes.add(to);
    return 0;
  }

  #change(namespace: FakeNamespace, index: number, body: Buffer): number {
    const link = namespace.links.get(index);
    if (!link) return ENODEV;
    const attributes = readAttributes(body.subarray(16));
    const target = attributes.get(28);
    if (target) {
      const to = this.#held.get(target.readUInt32LE(0)) ?? assert.fail('a descriptor that is held');
      if (to.links.has(index)) return EEXIST;
      namespace.links.delete(index);
      to.links.set(index, link);
    }
    link.mtu = attributes.get(4)?.readUInt32LE(0) ?? link.mtu;
    if (body.readUInt32LE(12) & 1) {
      const isUp = (body.readUInt32LE(8) & 1) !== 0;
      const { port } = link.device ?? {};
      const isTaken =
        port !== undefined && (this.takenPorts.has(port) || this.devices.some((each) => each.port === port));
      if (isUp && !link.up && isTaken) return EADDRINUSE;
      link.up = isUp;
    }
    return 0;
  }
}

function addLink(namespace: FakeNamespace, index: number, body: Buffer): number {
  const attributes = readAttributes(body.subarray(16));
  const name = readText(attributes.get(3));
  const kind = readText(readAttributes(attributes.get(18) ?? Buffer.alloc(0)).get(1));
  const device = kind === 'wireguard' ? { device: new FakeDevice() } : {};
  if (namespace.links.has(index) || [...namespace.links.values()].some((link) => link.name === name)) return EEXIST;
  namespace.links.set(index, { name, kind, up: false, mtu: 1480, addresses: new Set(), routes: new Set(), ...device });
  return 0;
}

function takeRule(namespace: FakeNamespace, type: number, body: Buffer): number {
  const DELETE_TABLE = (10 << 8) | 2;
  const NEW_RULE = (10 << 8) | 6;
  const tableOf = (message: Buffer): string => readText(readAttributes(message.subarray(4)).get(1));
  if (type === DELETE_TABLE) namespace.rules = namespace.rules.filter((rule) => tableOf(rule) !== tableOf(body));
  if (type === NEW_RULE) namespace.rules.push(Buffer.from(body));
  return 0;
}

const LOOKS: Readonly<Record<number, readonly number[]>> = {
  [NETLINK_XFRM]: [18, 21],
  [NETLINK_ROUTE]: [18, 22, 26],
  [NETLINK_NETFILTER]: [(10 << 8) | 7],
};

const areLooks = (family: number, messages: Buffer): boolean =>
  [...readMessages(messages)].every(({ type, body }) => isLook(family, type, body));

function isLook(family: number, type: number, body: Buffer): boolean {
  if (family !== NETLINK_GENERIC) return LOOKS[family]?.includes(type) ?? false;
  return type === CONTROL || body.readUInt8(0) === 0;
}

/** Undefined: there is none. */
function genericShown(
  kernel: FakeKernel,
  { links }: Pick<FakeNamespace, 'links'>,
  type: number,
  body: Buffer,
): Messages | undefined {
  const attributes = readAttributes(body.subarray(4));
  if (type === CONTROL) {
    if (!kernel.hasWireguard || readText(attributes.get(2)) !== 'wireguard') return undefined;
    return [bodyOf(CONTROL, Buffer.from([1, 2, 0, 0]), (writer) => writer.bytes(1, Buffer.from([WIREGUARD, 0])))];
  }
  const index = attributes.get(1)?.readUInt32LE(0) ?? 0;
  const link = links.get(index);
  return link?.device?.shown(WIREGUARD, link.name, index);
}

function dumpOf(
  kernel: FakeKernel,
  family: number,
  { links, rules }: FakeNamespace,
  type: number,
  body: Buffer,
): Messages | undefined {
  if (!isLook(family, type, body)) return undefined;
  if (family === NETLINK_GENERIC) return genericShown(kernel, { links }, type, body);
  if (family === NETLINK_XFRM) return kernel.xfrm.shown(type as 18 | 21);
  if (family === NETLINK_NETFILTER) return rules.map((body) => ({ type: (10 << 8) | 6, body }));
  return [...links].flatMap(([index, link]) => {
    if (type === 18) return [linkShown(index, link)];
    if (type === 22) return [...link.addresses].map((address) => addressShown(index, address));
    return [...link.routes].map((to) => routeShown(index, to));
  });
}

function linkShown(index: number, { name, kind, up, mtu }: FakeLink): Messages[number] {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  header.writeUInt32LE(up ? 1 : 0, 8);
  return bodyOf(16, header, (writer) => {
    writer.text(3, name);
    writer.u32(4, mtu);
    writer.nested(18, () => writer.text(1, kind));
  });
}

function addressShown(index: number, address: number): Messages[number] {
  const header = Buffer.from([2, 32, 0, 0, 0, 0, 0, 0]);
  header.writeInt32LE(index, 4);
  return bodyOf(20, header, (writer) => writer.u32big(2, address));
}

const routeShown = (index: number, to: number): Messages[number] =>
  bodyOf(24, Buffer.from([2, 32, 0, 0, 254, 3, 253, 1, 0, 0, 0, 0]), (writer) => {
    writer.u32big(1, to);
    writer.u32(4, index);
  });

function bodyOf(type: number, header: Buffer, write: (writer: MessageWriter) => void): Messages[number] {
  const writer = new MessageWriter();
  writer.message(type, 0, header, () => write(writer));
  return { type, body: Buffer.from(writer.finish().subarray(16)) };
}

function written(messages: Messages): Buffer {
  const writer = new MessageWriter();
  for (const { type, body } of messages) writer.message(type, 0, body);
  return writer.finish();
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

const failure = (index: number, errno: number): Buffer => Buffer.concat([u32(index), u32(errno), Buffer.alloc(2)]);
