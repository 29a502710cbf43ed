// Frames of anybody's making, and a sender of them, compiled when first needed; see wire-send.c.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { addressBytes6, parseAddress6 } from '../../base/ipv6.ts';

const SOURCE = resolve(import.meta.dirname, '../../../test/support/wire-send.c');
const run = promisify(execFile);
let programs = 0;

export async function sendFrames(options: {
  readonly namespace: string;
  readonly link: string;
  readonly frames: readonly Buffer[];
  readonly directory: string;
}): Promise<void> {
  const { namespace, link, frames, directory } = options;
  const program = join(directory, `wire-send-${++programs}`);
  await run('cc', ['-O2', '-o', program, SOURCE]);
  const child = spawn('nsenter', [`--net=${namespace}`, program, link], { stdio: ['pipe', 'ignore', 'inherit'] });
  child.stdin.end(frames.map((frame) => `${frame.toString('hex')}\n`).join(''));
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`wire-send ended with ${code}`);
}

export interface Way6 {
  readonly from: string;
  readonly to: string;
  readonly fromMac: string; // 12 digits
  readonly toMac: string;
}

const UDP = 17;
const ICMP6 = 58;
const ALL_NODES = { to: 'ff02::1', toMac: '333300000001' } as const;

/** As RFC 1071, over the pseudo header of RFC 8200. */
function checksum(from: Buffer, to: Buffer, next: number, body: Buffer): number {
  const pseudo = Buffer.concat([from, to, Buffer.from([0, 0, body.length >> 8, body.length & 255, 0, 0, 0, next])]);
  const all = Buffer.concat([pseudo, body, Buffer.alloc(body.length % 2)]);
  let sum = 0;
  for (let at = 0; at < all.length; at += 2) sum += all.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff || 0xffff;
}

function frame6(way: Way6, next: number, body: Buffer, checksumAt: number, hops: number): Buffer {
  const [from, to] = [way.from, way.to].map((address) => addressBytes6(parseAddress6(address))) as [Buffer, Buffer];
  body.writeUInt16BE(checksum(from, to, next, body), checksumAt);
  const header = Buffer.from([0x60, 0, 0, 0, body.length >> 8, body.length & 255, next, hops]);
  return Buffer.concat([Buffer.from(`${way.toMac}${way.fromMac}86dd`, 'hex'), header, from, to, body]);
}

export function datagram6(way: Way6, port: number, text: string): Buffer {
  const udp = Buffer.alloc(8 + text.length);
  udp.writeUInt16BE(5555, 0);
  udp.writeUInt16BE(port, 2);
  udp.writeUInt16BE(udp.length, 4);
  udp.write(text, 8);
  return frame6(way, UDP, udp, 6, 64);
}

/** "I am the router, and this is the prefix of us all": to everybody on the link. */
export function routerAdvertisement(from: string, fromMac: string, prefix: string): Buffer {
  const body = Buffer.alloc(16 + 32);
  body.writeUInt8(134, 0);
  body.writeUInt8(64, 4); // hops
  body.writeUInt16BE(1_800, 6); // seconds for which it is the router
  body.set([3, 4, 64, 0xc0], 16); // on the link, and for addresses of one's own
  body.writeUInt32BE(86_400, 20);
  body.writeUInt32BE(14_400, 24);
  body.set(addressBytes6(parseAddress6(prefix)), 32);
  return frame6({ from, fromMac, ...ALL_NODES }, ICMP6, body, 2, 255);
}

/** "I have this address, whoever you thought had it": to everybody on the link. */
export function neighbourAdvertisement(from: string, fromMac: string, claimed: string): Buffer {
  const body = Buffer.alloc(24 + 8);
  body.writeUInt8(136, 0);
  body.writeUInt8(0x20, 4); // overrides
  body.set(addressBytes6(parseAddress6(claimed)), 8);
  body.set(Buffer.from(`0201${fromMac}`, 'hex'), 24);
  return frame6({ from, fromMac, ...ALL_NODES }, ICMP6, body, 2, 255);
}

/** The payload of a datagram that carries it from node to node. */
export const inVxlan = (vni: number, frame: Buffer): Buffer =>
  Buffer.concat([Buffer.from([0x08, 0, 0, 0, vni >> 16, (vni >> 8) & 255, vni & 255, 0]), frame]);
