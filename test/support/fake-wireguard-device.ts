// One link of a kernel's WireGuard behind netd: it takes the bytes of generic netlink and shows itself as the kernel does, few
// peers to a message; and whether two of them have a session. Reads bytes by itself, by Linux include/uapi/linux/wireguard.h.
import assert from 'node:assert/strict';
import { eachAttribute, MessageWriter, readAttributes } from '../../runtime/network/netlink.ts';
import { publicOf } from './fake-wireguard.ts';

interface FakePeer {
  presharedKey: Buffer;
  endpoint: Buffer;
  keepalive: number;
  allowed: number[];
  /** Of the session that both ends have; 0: none. */
  session: number;
  sent: number;
  received: number;
}

const SHOWN_AT_ONCE = 2;
const INITIATION_BYTES = 148;
let sessions = 0;

export class FakeDevice {
  privateKey: Buffer = Buffer.alloc(32);
  publicKey = '';
  port = 0;
  readonly peers = new Map<string, FakePeer>();

  /** Answers an errno. */
  set(attributes: ReadonlyMap<number, Buffer>): number {
    const secret = attributes.get(3);
    if (secret) {
      this.privateKey = Buffer.from(secret);
      this.publicKey = publicOf(secret);
    }
    this.port = attributes.get(6)?.readUInt16LE(0) ?? this.port;
    for (const [, each] of eachAttribute(attributes.get(8) ?? Buffer.alloc(0))) this.#setPeer(readAttributes(each));
    return 0;
  }

  /** As a dump has it: the device is in the first message only. */
  shown(family: number, name: string, index: number): { type: number; body: Buffer }[] {
    const all = [...this.peers];
    const parts = Array.from({ length: Math.max(1, Math.ceil(all.length / SHOWN_AT_ONCE)) }, (_, at) =>
      all.slice(at * SHOWN_AT_ONCE, (at + 1) * SHOWN_AT_ONCE),
    );
    return parts.map((part, at) => {
      const writer = new MessageWriter();
      writer.message(family, 0, Buffer.from([0, 1, 0, 0]), () => {
        if (at === 0) {
          writer.bytes(6, u16(this.port));
          writer.u32(7, 0);
          writer.u32(1, index);
          writer.text(2, name);
          writer.bytes(3, this.privateKey);
          writer.bytes(4, Buffer.from(this.publicKey, 'hex'));
        }
        writer.nested(8, () => {
          for (const [key, peer] of part) writer.nested(0, () => showPeer(writer, key, peer));
        });
      });
      return { type: family, body: Buffer.from(writer.finish().subarray(16)) };
    });
  }

  #setPeer(attributes: ReadonlyMap<number, Buffer>): void {
    const key = attributes.get(1)?.toString('hex') ?? assert.fail('a peer without a key');
    const flags = attributes.get(3)?.readUInt32LE(0) ?? 0;
    if (flags & 1) return void this.peers.delete(key);
    assert.notEqual(key, this.publicKey, 'nobody is its own peer: the kernel leaves that out');
    const known = this.peers.get(key);
    const none = { presharedKey: Buffer.alloc(32), endpoint: Buffer.alloc(0), keepalive: 0, session: 0 };
    const peer = known ?? { ...none, allowed: [], sent: 0, received: 0 };
    peer.presharedKey = Buffer.from(attributes.get(2) ?? peer.presharedKey);
    peer.endpoint = Buffer.from(attributes.get(4) ?? peer.endpoint);
    peer.keepalive = attributes.get(5)?.readUInt16LE(0) ?? peer.keepalive;
    if (flags & 2) peer.allowed = [];
    for (const [, item] of eachAttribute(attributes.get(9) ?? Buffer.alloc(0))) {
      const allowed = readAttributes(item);
      assert.deepEqual([allowed.get(1)?.readUInt16LE(0), allowed.get(3)?.readUInt8(0)], [2, 32]);
      const address = allowed.get(2)?.readUInt32BE(0) ?? 0;
      // An address is of one peer only: who says it last has it.
      for (const other of this.peers.values()) other.allowed = other.allowed.filter((each) => each !== address);
      peer.allowed.push(address);
    }
    this.peers.set(key, peer);
  }
}

/** Of one end's links that are up, and of the other's: whoever asks for a session gets one, or no answer. */
export function shakeHands(one: FakeEnd, other: FakeEnd): void {
  for (const device of one.devices) {
    for (const [key, peer] of device.peers) {
      if (peer.endpoint.length < 8 || peer.endpoint.readUInt32BE(4) !== other.address) continue;
      peer.sent += INITIATION_BYTES;
      const end = other.devices.find(({ port }) => port === peer.endpoint.readUInt16BE(2));
      const back = end?.peers.get(device.publicKey);
      if (end?.publicKey !== key || !back?.presharedKey.equals(peer.presharedKey)) continue;
      sessions += 1;
      for (const each of [peer, back]) each.session = sessions;
      peer.received += INITIATION_BYTES;
      back.sent += INITIATION_BYTES;
      back.received += INITIATION_BYTES;
    }
  }
}

/** Whether a packet between two addresses inside leaves by one link and comes out of another. */
export function passes(device: FakeDevice, from: number, to: number, other: FakeEnd): boolean {
  const [found] = [...device.peers].filter(([, { allowed }]) => allowed.includes(to));
  if (!found) return false;
  const [key, peer] = found;
  const end = other.devices.find(({ port }) => port === peer.endpoint.readUInt16BE(2));
  const back = end?.peers.get(device.publicKey);
  if (peer.endpoint.readUInt32BE(4) !== other.address || end?.publicKey !== key || !back) return false;
  return peer.session !== 0 && peer.session === back.session && back.allowed.includes(from);
}

export interface FakeEnd {
  readonly address: number;
  /** That are up. */
  readonly devices: readonly FakeDevice[];
}

function showPeer(writer: MessageWriter, key: string, peer: FakePeer): void {
  const { presharedKey, endpoint, keepalive, allowed, session, sent, received } = peer;
  writer.bytes(1, Buffer.from(key, 'hex'));
  writer.bytes(2, presharedKey);
  writer.bytes(6, Buffer.concat([u64(session), u64(0)]));
  writer.bytes(5, u16(keepalive));
  writer.bytes(8, u64(sent));
  writer.bytes(7, u64(received));
  writer.u32(10, 1);
  writer.bytes(4, endpoint);
  writer.nested(9, () => {
    for (const address of allowed) {
      writer.nested(0, () => {
        writer.u8(3, 32);
        writer.bytes(1, u16(2));
        writer.u32big(2, address);
      });
    }
  });
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
