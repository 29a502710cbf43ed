// A kernel's WireGuard as far as its messages say: which links there are, under which keys and ports, who is at their other
// ends, and whether what one machine sends is taken by another. Reads bytes by itself, by Linux include/uapi/linux/wireguard.h.
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { NETLINK_GENERIC, NETLINK_ROUTE, type Step } from '../../runtime/network/netd-protocol.ts';
import { eachAttribute, readAttributes, readMessages, readText } from '../../runtime/network/netlink.ts';

const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex');

interface Peer {
  readonly publicKey: string;
  readonly presharedKey: string;
  readonly address: number;
  readonly port: number;
  readonly allowed: number;
}

interface Link {
  readonly name: string;
  readonly index: number;
  where: string;
  publicKey: string;
  port: number;
  own: number;
  isUp: boolean;
  readonly peers: Map<string, Peer>;
}

export class FakeWireguard {
  readonly links = new Map<number, Link>();
  readonly routes = new Map<number, number>(); // an address, and the link that leads there
  readonly #address: number;
  readonly #family: number;
  readonly #tunnel: { readonly path: string; readonly fd: number };

  constructor(address: number, family: number, tunnel: { readonly path: string; readonly fd: number }) {
    this.#address = address;
    this.#family = family;
    this.#tunnel = tunnel;
  }

  /** `between` is called behind each message. */
  take(step: Step, between: () => void = () => undefined): void {
    assert.ok(step.do === 'netlink');
    for (const { type, body } of readMessages(Buffer.from(step.messages))) {
      if (step.family === NETLINK_GENERIC) {
        assert.equal(type, this.#family);
        this.#set(readAttributes(body.subarray(4)), step.where);
      } else {
        assert.equal(step.family, NETLINK_ROUTE);
        this.#route(type, body, step.where);
      }
      between();
    }
  }

  /** Packets to an address inside are sent by a link of this machine, and taken by one of that. */
  reaches(other: FakeWireguard, to: number): boolean {
    const link = this.links.get(this.routes.get(to) ?? 0);
    const peer = [...(link?.peers.values() ?? [])].find(({ allowed }) => allowed === to);
    if (!link?.isUp || !peer || peer.address !== other.#address) return false;
    const end = [...other.links.values()].find(({ port, isUp }) => isUp && port === peer.port);
    const back = end?.peers.get(link.publicKey);
    if (!end || !back || end.publicKey !== peer.publicKey) return false;
    return back.presharedKey === peer.presharedKey && back.allowed === link.own && end.own === to;
  }

  #route(type: number, body: Buffer, where: string): void {
    if (type === 24 || type === 25) return this.#changeRoute(type === 24, readAttributes(body.subarray(12)));
    if (type === 20) {
      this.#link(body.readInt32LE(4), where).own = readAttributes(body.subarray(8)).get(2)?.readUInt32BE(0) ?? 0;
      return;
    }
    const index = body.readInt32LE(4);
    const attributes = readAttributes(body.subarray(16));
    if (type === 16) {
      const name = readText(attributes.get(3));
      assert.ok(![...this.links.values()].some((link) => link.index === index || link.name === name), 'it is free');
      assert.equal(where, '', 'a link is made where its port is to be');
      this.links.set(index, { name, index, where, publicKey: '', port: 0, own: 0, isUp: false, peers: new Map() });
    } else if (type === 17) {
      this.#link(index, where);
      this.links.delete(index);
      for (const [to, by] of this.routes) if (by === index) this.routes.delete(to);
    } else if (type === 19) {
      const link = this.#link(index, where);
      if (attributes.has(28)) {
        assert.equal(attributes.get(28)?.readUInt32LE(0), this.#tunnel.fd);
        link.where = this.#tunnel.path;
        return;
      }
      const taken = [...this.links.values()].some(({ isUp, port }) => isUp && port === link.port);
      assert.ok(body.readUInt32LE(8) === 1 && !taken, 'its port is free');
      link.isUp = true;
    } else assert.fail(`a message of type ${type}`);
  }

  #changeRoute(isNew: boolean, attributes: Map<number, Buffer>): void {
    const to = attributes.get(1)?.readUInt32BE(0) ?? 0;
    const index = attributes.get(4)?.readUInt32LE(0) ?? 0;
    if (isNew) this.routes.set(to, this.#link(index, this.#tunnel.path).index);
    else assert.ok(this.routes.delete(to), 'what is taken out was there');
  }

  #link(index: number, where: string): Link {
    const link = this.links.get(index) ?? assert.fail(`no link ${index}`);
    assert.equal(link.where, where);
    return link;
  }

  #set(attributes: Map<number, Buffer>, where: string): void {
    const name = readText(attributes.get(2));
    const found = [...this.links.values()].find((link) => link.name === name) ?? assert.fail(`no link ${name}`);
    const link = this.#link(found.index, where);
    const secret = attributes.get(3);
    if (secret) link.publicKey = publicOf(secret);
    link.port = attributes.get(6)?.readUInt16LE(0) ?? link.port;
    for (const [, each] of eachAttribute(attributes.get(8) ?? Buffer.alloc(0))) setPeer(link, readAttributes(each));
  }
}

function setPeer(link: Link, attributes: Map<number, Buffer>): void {
  const publicKey = attributes.get(1)?.toString('hex') ?? '';
  if ((attributes.get(3)?.readUInt32LE(0) ?? 0) & 1) {
    assert.ok(link.peers.delete(publicKey), 'who is taken out was there');
    return;
  }
  const [[, item] = assert.fail('it may send nothing')] = eachAttribute(attributes.get(9) ?? Buffer.alloc(0));
  const endpoint = attributes.get(4) ?? assert.fail('it is nowhere');
  const allowed = readAttributes(item);
  assert.equal(allowed.get(3)?.readUInt8(0), 32);
  link.peers.set(publicKey, {
    publicKey,
    presharedKey: attributes.get(2)?.toString('hex') ?? '',
    address: endpoint.readUInt32BE(4),
    port: endpoint.readUInt16BE(2),
    allowed: allowed.get(2)?.readUInt32BE(0) ?? 0,
  });
}

export function publicOf(secret: Buffer): string {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, secret]), format: 'der', type: 'pkcs8' });
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex');
}
