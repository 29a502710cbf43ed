// The wire between the daemon and netd. Little-endian frames: u32 length of the rest · u32 request id · u16 kind ·
// u16 zero · body. A run's body is steps: u32 body length · u16 operation · u16 flags · body. They are done in order
// and stop at the first that fails, unless it may. An aside's body is one step, for netd's second process. Pure.
import { CodedError } from '../../base/errors.ts';
import { type Ip, ipBytes, isSix } from './addresses.ts';

export const PROTOCOL = { min: 2, max: 2 } as const;
const FRAME_MAX = 16 * 1024 * 1024;

export const KIND = { hello: 1, run: 2, aside: 3, generation: 100, link: 101, heard: 102 } as const;
export const NETLINK_ROUTE = 0;
export const NETLINK_XFRM = 6;
export const NETLINK_NETFILTER = 12;
export const NETLINK_GENERIC = 16;

export type PortProtocol = 'tcp' | 'udp' | 'sctp';
export const PROTOCOL_NUMBER = { tcp: 6, udp: 17, sctp: 132 } as const satisfies Record<PortProtocol, number>;

/**
 * Which tracked connections to forget: those that match every field given. At least one must be given. Without an
 * address those of IPv4, unless `family` says otherwise.
 */
export interface ConnectionFilter {
  readonly family?: 4 | 6;
  readonly protocol?: PortProtocol;
  readonly askedAddress?: Ip;
  readonly askedPort?: number;
  readonly serverAddress?: Ip;
  readonly serverPort?: number;
}

/** `where` is a namespace file; '' is netd's own namespace, the node's. */
export type Step = { readonly mayFail?: boolean } & (
  | { readonly do: 'create-namespace' | 'remove-namespace'; readonly path: string }
  | { readonly do: 'netlink'; readonly family: number; readonly where: string; readonly messages: Uint8Array }
  | { readonly do: 'write-sysctl'; readonly where: string; readonly name: string; readonly value: string }
  | { readonly do: 'read-sysctl'; readonly where: string; readonly name: string }
  | {
      readonly do: 'reserve-port';
      readonly handle: number;
      readonly protocol: PortProtocol;
      /** The port is held on all of them. */
      readonly addresses: readonly Ip[];
      readonly first: number;
      readonly last: number;
    }
  /** Answers how many IP packets the namespace has received and sent, in decimal digits. */
  | { readonly do: 'count-packets'; readonly where: string }
  | { readonly do: 'release-port'; readonly handle: number }
  | { readonly do: 'forget-connections'; readonly where?: string; readonly filters: readonly ConnectionFilter[] }
  | { readonly do: 'watch' }
  /** Answers a descriptor (u32) by which link messages may name the namespace until netd ends or it is dropped. */
  | { readonly do: 'hold-namespace'; readonly path: string }
  /** Asks nodes over a link that packets with the mark, and those to IPv6 addresses, go into; netd tells who answers (`readHeard`). */
  | { readonly do: 'probe'; readonly mark: number; readonly addresses: readonly Ip[] }
  | { readonly do: 'drop-namespace'; readonly descriptor: number }
);

const OPERATION = {
  'create-namespace': 1,
  'remove-namespace': 2,
  netlink: 3,
  'write-sysctl': 4,
  'read-sysctl': 5,
  'reserve-port': 6,
  'release-port': 7,
  'forget-connections': 8,
  watch: 9,
  'hold-namespace': 10,
  'drop-namespace': 11,
  probe: 12,
  'count-packets': 13,
} as const satisfies Record<Step['do'], number>;

const MAY_FAIL = 1;

const u8 = (value: number): Buffer => Buffer.from([value]);
function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}
function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
function text(value: string): Buffer {
  const length = Buffer.byteLength(value);
  const bytes = Buffer.allocUnsafe(2 + length);
  bytes.writeUInt16LE(length);
  bytes.write(value, 2);
  return bytes;
}
function big16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function ip(address: Ip): Buffer {
  const bytes = ipBytes(address);
  return Buffer.concat([u8(bytes.length), bytes]);
}

const familyOf = ({ family, askedAddress, serverAddress }: ConnectionFilter): 4 | 6 =>
  family ?? (isSix(askedAddress ?? serverAddress ?? 0) ? 6 : 4);

function filterBody(filter: ConnectionFilter): Buffer {
  const fields = [filter.protocol, filter.askedAddress, filter.askedPort, filter.serverAddress, filter.serverPort];
  const match = fields.reduce<number>((bits, field, index) => (field === undefined ? bits : bits | (1 << index)), 0);
  return Buffer.concat([
    u8(match),
    u8(filter.protocol ? PROTOCOL_NUMBER[filter.protocol] : 0),
    big16(filter.askedPort ?? 0),
    big16(filter.serverPort ?? 0),
    u8(familyOf(filter)),
    ip(filter.askedAddress ?? 0),
    ip(filter.serverAddress ?? 0),
  ]);
}

function stepBody(step: Step): Uint8Array {
  switch (step.do) {
    case 'create-namespace':
    case 'hold-namespace':
    case 'remove-namespace':
      return text(step.path);
    case 'netlink':
      return Buffer.concat([u16(step.family), text(step.where), step.messages]);
    case 'write-sysctl':
      return Buffer.concat([text(step.where), text(step.name), text(step.value)]);
    case 'read-sysctl':
      return Buffer.concat([text(step.where), text(step.name)]);
    case 'reserve-port':
      return Buffer.concat([
        u32(step.handle),
        u8(PROTOCOL_NUMBER[step.protocol]),
        u8(step.addresses.length),
        ...step.addresses.map(ip),
        u16(step.first),
        u16(step.last),
      ]);
    case 'probe':
      return Buffer.concat([u32(step.mark), ...step.addresses.map(ip)]);
    case 'count-packets':
      return text(step.where);
    case 'drop-namespace':
      return u32(step.descriptor);
    case 'release-port':
      return u32(step.handle);
    case 'forget-connections':
      return Buffer.concat([text(step.where ?? ''), ...step.filters.map(filterBody)]);
    case 'watch':
      return Buffer.alloc(0);
  }
}

function frame(id: number, kind: number, parts: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(12);
  const length = parts.reduce((sum, part) => sum + part.length, head.length - 4);
  if (length > FRAME_MAX) throw new CodedError('exhausted', `a request of ${length} bytes is too large for netd`);
  head.writeUInt32LE(length);
  head.writeUInt32LE(id >>> 0, 4);
  head.writeUInt16LE(kind, 8);
  return Buffer.concat([head, ...parts], 4 + length);
}

export const helloFrame = (id: number): Buffer => frame(id, KIND.hello, [u16(PROTOCOL.min), u16(PROTOCOL.max)]);

function stepParts(step: Step): Uint8Array[] {
  const body = stepBody(step);
  const head = Buffer.allocUnsafe(8);
  head.writeUInt32LE(body.length);
  head.writeUInt16LE(OPERATION[step.do], 4);
  head.writeUInt16LE(step.mayFail ? MAY_FAIL : 0, 6);
  return [head, body];
}

export const runFrame = (id: number, steps: readonly Step[]): Buffer => frame(id, KIND.run, steps.flatMap(stepParts));

/** One step that the kernel may take long over; answered as a run of one, perhaps after later requests. */
export const asideFrame = (id: number, step: Step): Buffer => frame(id, KIND.aside, stepParts(step));

export interface Frame {
  readonly id: number;
  readonly kind: number;
  readonly body: Buffer;
}

/** Cuts a byte stream into frames. */
export class FrameReader {
  #kept: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Frame[] {
    this.#kept = this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk]);
    const frames: Frame[] = [];
    let at = 0;
    while (this.#kept.length - at >= 4) {
      const length = this.#kept.readUInt32LE(at);
      if (length < 8) throw new CodedError('internal', `netd sent a frame of ${length} bytes`);
      if (this.#kept.length - at - 4 < length) break;
      frames.push({
        id: this.#kept.readUInt32LE(at + 4),
        kind: this.#kept.readUInt16LE(at + 8),
        body: this.#kept.subarray(at + 12, at + 4 + length),
      });
      at += 4 + length;
    }
    this.#kept = this.#kept.subarray(at);
    return frames;
  }
}

export interface Hello {
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly pid: number;
  readonly homeFd: number;
  readonly features: readonly string[];
  readonly sourceHash: string;
}

export function readHello(body: Buffer): Hello {
  const featuresLength = body.readUInt16LE(12);
  const hashAt = 14 + featuresLength;
  return {
    protocolMin: body.readUInt16LE(0),
    protocolMax: body.readUInt16LE(2),
    pid: body.readUInt32LE(4),
    homeFd: body.readUInt32LE(8),
    features: body.toString('utf8', 14, hashAt).split(' '),
    sourceHash: body.toString('utf8', hashAt + 2, hashAt + 2 + body.readUInt16LE(hashAt)),
  };
}

/** `errno` 0: done, with `bytes`; otherwise `bytes` is a sentence. Steps after a failed one have no result. */
export interface StepResult {
  readonly errno: number;
  readonly bytes: Buffer;
}

export function readResults(body: Buffer): StepResult[] {
  const results: StepResult[] = [];
  let at = 4;
  for (let left = body.readUInt32LE(0); left > 0; left -= 1) {
    const length = body.readUInt32LE(at + 4);
    results.push({ errno: body.readUInt32LE(at), bytes: body.subarray(at + 8, at + 8 + length) });
    at += 8 + length;
  }
  return results;
}

/** Something of our own namespace went away or changed; `what` lost: notices were dropped, so anything may have. */
export interface LinkEvent {
  readonly what: 'link-gone' | 'link-changed' | 'address-gone' | 'lost';
  readonly index: number;
  readonly up: boolean;
  readonly master: number;
  readonly name: string; // '' for an address
}

export function readLinkEvent(body: Buffer): LinkEvent {
  const kinds = { 16: 'link-changed', 17: 'link-gone', 21: 'address-gone' } as const;
  const name = body.subarray(16, 32);
  return {
    what: kinds[body.readUInt32LE(0) as keyof typeof kinds] ?? 'lost',
    index: body.readUInt32LE(4),
    up: (body.readUInt32LE(8) & 1) !== 0,
    master: body.readUInt32LE(12),
    name: name.toString('latin1', 0, name.indexOf(0)),
  };
}

/** The address of a node that has answered. */
export const readHeard = (body: Buffer): Ip =>
  body.length === 4 ? body.readUInt32BE(0) : BigInt(`0x${body.toString('hex')}`);

export interface NetlinkFailure {
  readonly index: number; // which message
  readonly errno: number;
  readonly text: string; // the kernel's own words, often ''
}

/** What a netlink step answers: the messages that failed, and the kernel's other messages. */
export function readNetlinkResult(bytes: Buffer): { failures: NetlinkFailure[]; messages: Buffer } {
  const failures: NetlinkFailure[] = [];
  let at = 4;
  for (let left = bytes.readUInt32LE(0); left > 0; left -= 1) {
    const length = bytes.readUInt16LE(at + 8);
    failures.push({
      index: bytes.readUInt32LE(at),
      errno: bytes.readUInt32LE(at + 4),
      text: bytes.toString('utf8', at + 10, at + 10 + length),
    });
    at += 10 + length;
  }
  return { failures, messages: bytes.subarray(at) };
}
